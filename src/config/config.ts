/**
 * The configuration as the rest of the program sees it: complete, checked, deep-frozen. Defaults are merged into the
 * routes, files are absolute paths, durations are milliseconds (`Infinity` for `off`), sizes are bytes.
 * `load.ts` makes it out of a file; nothing else reads the file.
 */

export interface Config {
  /** The absolute path of the file it came from. */
  readonly file: string
  readonly listeners: readonly ListenerConfig[]
  /** `undefined` for `admin: off`. */
  readonly admin: AdminConfig | undefined
  readonly log: LogConfig
  /** CIDR blocks and single addresses, e.g. `10.0.0.0/8`, `::1`. */
  readonly trustedProxies: readonly string[]
  /** `undefined` for `off`: X-Forwarded-* is read and written, and Forwarded is removed. */
  readonly forwarded: ForwardedConfig | undefined
  /** Requests to upstreams have the gateway in Via, and those that come back with it are refused. */
  readonly via: boolean
  readonly shutdown: ShutdownConfig
  /** `watch`: the file is read again by itself when it changes. */
  readonly reload: { readonly watch: boolean }
  readonly relay: RelayConfig
  readonly upstreams: ReadonlyMap<string, UpstreamConfig>
  readonly auth: ReadonlyMap<string, AuthConfig>
  readonly routes: readonly RouteConfig[]
  /** What is allowed, but hardly meant, such as an expired certificate: whole lines to show to the operator. */
  readonly warnings: readonly string[]
}

export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/** A socket that systemd passes: those of a name, or all. `fd` is one of them, where it is known. */
export interface SystemdAddress {
  readonly kind: 'systemd'
  readonly name: string | undefined
  readonly fd?: number
}

export type ListenerAddress = Address | SystemdAddress

export function isSystemd(address: ListenerAddress): address is SystemdAddress {
  return address.kind === 'systemd'
}

export interface ListenerConfig {
  readonly address: ListenerAddress
  /** Connections that wait to be accepted. */
  readonly backlog: number
  /** Several processes may listen at the same port. */
  readonly reusePort: boolean
  /** An IPv6 wildcard takes no IPv4. */
  readonly ipv6Only: boolean
  /** Of the file of a unix socket; `undefined` for what the umask leaves. */
  readonly mode: number | undefined
  /** `user:group`, `user` or `:group`, names or numbers; `undefined` for who runs the gateway. */
  readonly owner: string | undefined
  readonly tls: ListenerTlsConfig | undefined
  /** Without TLS clients may speak HTTP/2 from their first byte on. */
  readonly h2c: boolean
  /** Where https is that every request is sent to; `undefined` where routes serve. Never with `tls`. */
  readonly redirect: { readonly port: number } | undefined
  /** Whether proxies say by the PROXY protocol whose connections they pass on. */
  readonly proxyProtocol: 'off' | 'optional' | 'required'
  readonly headTimeoutMs: number
  readonly headBytesMax: number
  /** How long a connection may wait for its next request. */
  readonly keepAliveTimeoutMs: number
  /** Whether a client that ends its side behind a plain request still reads the response. */
  readonly halfClose: boolean
  /** Connections open at once on this listener; `Infinity` for no limit. */
  readonly connectionsMax: number
}

/** Files are absolute paths of PEM files. */
export interface ListenerTlsConfig {
  /** Set together: the first certificate. Without them it is the first of `certificates`. */
  readonly cert: string | undefined
  readonly key: string | undefined
  readonly certificates: readonly CertificateConfig[]
  /** What becomes of clients that ask for a name without a certificate, or for none. */
  readonly unknownNames: 'default' | 'refuse'
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  /** OpenSSL's list; `undefined` for Node's. */
  readonly ciphers: string | undefined
  readonly handshakeTimeoutMs: number
  /** Handshakes of TLS in progress at once. */
  readonly handshakesMax: number
  /** Clients are offered HTTP/2 beside HTTP/1.1. */
  readonly http2: boolean
  /** The authorities of clients' certificates; `undefined` where nobody is asked for one. */
  readonly clientCa: string | undefined
  /** Set with `clientCa`. `request`: clients may have none, and wrong ones count for none. */
  readonly clientCert: 'request' | 'require' | undefined
  /** The lists of what the authorities have revoked. */
  readonly crl: string | undefined
}

export interface CertificateConfig {
  readonly cert: string
  readonly key: string
  /** Lower-case names, some as `*.example.com`; `undefined` for those that the certificate has. */
  readonly names: readonly string[] | undefined
}

export interface AdminConfig {
  readonly address: Address
  /** Of a unix socket, as of listeners. */
  readonly mode: number | undefined
  readonly owner: string | undefined
  /** Asked for as a Bearer token by all but /healthz and /readyz. Without one the API is for this machine alone. */
  readonly token: string | undefined
  /** Absolute paths of PEM files. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined
  /** Lower-case names under which the API and /metrics may be called, besides addresses and localhost. */
  readonly hosts: readonly string[]
}

/** X-Forwarded-*, or Forwarded (RFC 7239). */
export interface ForwardedConfig {
  /** What trusted proxies set. The other family is removed. */
  readonly read: 'x-forwarded' | 'forwarded'
  /** What upstreams get, made of the same facts. */
  readonly write: 'x-forwarded' | 'forwarded' | 'both'
}

interface ShutdownConfig {
  readonly drainMs: number
  /** Tunnels are closed evenly over that time; else all at its end. */
  readonly spread: boolean
}

export interface LogConfig {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
  readonly format: 'json' | 'pretty'
}

interface RelayConfig {
  /** `auto` is the native one where it can be had. */
  readonly engine: 'auto' | 'native' | 'portable'
  /** Of the native relay; as many as the machine has cores when left out. */
  readonly threads?: number
  readonly bufferBytes: number
  /** The frames of WebSocket tunnels are followed. */
  readonly frames: boolean
}

export interface UpstreamConfig {
  /** The same in another config means the same upstream: its name, or for one that is written in place the identity of its route. */
  readonly identity: string
  /** Its name in logs and metrics: the key in `upstreams`, or the route's name for one that is written in place. */
  readonly name: string
  readonly endpoints: readonly EndpointConfig[]
  readonly balance: BalanceConfig
  /** An endpoint that fails is set aside for `setAsideMs`, doubled at each further failure up to `setAsideMaxMs`. */
  readonly health: {
    readonly setAsideMs: number
    readonly setAsideMaxMs: number
    /** When all endpoints are set aside: one of them is tried anyway, or nothing goes on. */
    readonly whenAllDown: 'try' | 'refuse'
  }
  /** For https endpoints. */
  readonly tls: UpstreamTlsConfig
  /** `undefined` where nobody rebalances by himself. */
  readonly rebalance: RebalanceConfig | undefined
  /** Each connection begins with a PROXY header of this version. */
  readonly proxyProtocol: 'off' | 'v1' | 'v2'
  /** IP addresses of this machine that connections come from, in turn; the kernel picks where there is none. */
  readonly localAddress: readonly string[] | undefined
  /** Of endpoints with `http2`: streams at once over one connection. */
  readonly http2Streams: number
}

/** Files are absolute paths of PEM files. */
export interface UpstreamTlsConfig {
  /** Authorities that are trusted in place of Node's. */
  readonly ca: string | undefined
  /** In place of the URL's host. */
  readonly serverName: string | undefined
  /** Set together: what an endpoint is shown that asks for a certificate. */
  readonly cert: string | undefined
  readonly key: string | undefined
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  /** Certificates of endpoints are not checked. */
  readonly insecure: boolean
}

/** Tunnels of the fullest endpoints are closed, so that their clients come back to others. */
export interface RebalanceConfig {
  /** Tunnels closed a second. */
  readonly rate: number
  /** How far an endpoint may be above the mean, as a part of it: 0.1 for 10%. */
  readonly spread: number
}

export interface EndpointConfig {
  /** As written, e.g. `http://chat-1:3000`, `unix:/run/app.sock`, `builtin:echo`: the label in logs and metrics. */
  readonly url: string
  readonly address: Address | { readonly kind: 'builtin'; readonly name: 'echo' }
  readonly tls: boolean
  readonly weight: number
  /** It is spoken to by HTTP/2: agreed on by ALPN under TLS, else with prior knowledge. */
  readonly http2: boolean
}

export type BalanceConfig =
  | { readonly policy: 'least-tunnels' | 'round-robin' | 'random-two' }
  | { readonly policy: 'hash'; readonly key: HashKey }

/** `name` is a header's name in lower case, or a cookie's name as it is. */
export type HashKey =
  | { readonly by: 'client' | 'path' }
  | { readonly by: 'header' | 'cookie'; readonly name: string }

export type AuthConfig =
  | BasicAuthConfig
  | ApiKeyAuthConfig
  | JwtAuthConfig
  | ForwardAuthConfig
  | ClientCertAuthConfig

export interface BasicAuthConfig {
  readonly name: string
  readonly type: 'basic'
  /** Absolute path of an htpasswd file. */
  readonly users: string
  readonly realm: string
  /** Tunnels end when the file has their user no more, or with another password. */
  readonly closeOnExpiry: boolean
}

export interface ApiKeyAuthConfig {
  readonly name: string
  readonly type: 'apiKey'
  /** Field that carries the key, as written. */
  readonly header: string
  /** Absolute path of a file of `name:sha256hex` lines. */
  readonly keys: string
  /** Tunnels end when the file has their key no more. */
  readonly closeOnExpiry: boolean
}

/** Where a token is looked for, in order. In `Authorization`, which is what `header` alone means, it follows `Bearer`. */
export type TokenSource =
  | { readonly in: 'header'; readonly name: string }
  | { readonly in: 'cookie' | 'query' | 'subprotocol'; readonly name: string }

export interface JwtAuthConfig {
  readonly name: string
  readonly type: 'jwt'
  readonly from: readonly TokenSource[]
  /** Exactly one of these three is set. */
  readonly jwks: string | undefined
  readonly secret: string | undefined
  /** Absolute path of a PEM file (SPKI or certificate) or JWK file. */
  readonly publicKey: string | undefined
  readonly algorithms: readonly string[]
  readonly issuer: readonly string[] | undefined
  readonly audience: readonly string[] | undefined
  readonly clockToleranceMs: number
  /** Each claim must have one of the values; a claim that is an array must hold one of them. */
  readonly claims: ReadonlyMap<string, readonly (string | number | boolean)[]>
  /** The claim that becomes X-Auth-User. */
  readonly userClaim: string
  readonly realm: string
  /** Tunnels end with the token, `clockToleranceMs` after its `exp`. */
  readonly closeOnExpiry: boolean
}

export interface ForwardAuthConfig {
  readonly name: string
  readonly type: 'forward'
  readonly url: string
  /** Field names of the auth server's 2xx answer that go to the upstream. */
  readonly copy: readonly string[]
  readonly timeoutMs: number
  /** The field of its 2xx answer that becomes X-Auth-User. */
  readonly userHeader: string | undefined
  /** How often the server is asked again about an open tunnel; `Infinity` for never. */
  readonly recheckMs: number
  /** What becomes of a tunnel when the server cannot be asked. */
  readonly onRecheckError: 'keep' | 'close'
}

export interface ClientCertAuthConfig {
  readonly name: string
  readonly type: 'clientCert'
  /** One has to match the subject as in RFC 4514. */
  readonly subject: readonly NamePattern[] | undefined
  /** One has to match one of the alternative names, written as `DNS:chat.example.com`. */
  readonly san: readonly NamePattern[] | undefined
  /** What becomes X-Auth-User: the common name (or the first alternative one), the first alternative name, or all of the subject. */
  readonly user: 'cn' | 'san' | 'subject'
}

/** Of the whole text. In a glob `*` is any run of characters. */
export type NamePattern =
  | { readonly kind: 'glob'; readonly glob: string }
  | { readonly kind: 'regex'; readonly regex: string }

export interface RouteConfig {
  /** The same in another config means the same route: its name, or what stands for its match and upstream where it has none. */
  readonly identity: string
  readonly name: string
  readonly match: MatchConfig
  /** Lower-case tokens that may be upgraded to; `any` is all but those that carry HTTP. */
  readonly upgrade: readonly string[] | 'any'
  readonly http: boolean
  /** Every group must pass; a group passes when one of its checks does. */
  readonly auth: readonly (readonly string[])[]
  readonly origins: readonly string[] | undefined
  readonly allow: readonly string[] | undefined
  readonly limits: LimitsConfig
  readonly timeouts: TimeoutsConfig
  /** `undefined` for `off`. */
  readonly keepalive: KeepaliveConfig | undefined
  readonly close: CloseConfig
  /** What becomes of a tunnel whose route, endpoint or credentials a new config does not have any more. */
  readonly onReload: 'close' | 'keep'
  readonly rewrite: {
    readonly stripPrefix: string | undefined
    readonly addPrefix: string | undefined
  }
  readonly headers: {
    readonly request: FieldEdits
    readonly response: FieldEdits
  }
  /** A name in `Config.upstreams` (those written in place are there too). */
  readonly upstream: string
}

export interface MatchConfig {
  /** Lower case; `*.suffix` matches any name below the suffix. `undefined`: every host. */
  readonly hosts: readonly string[] | undefined
  readonly path: PathMatch | undefined
  readonly methods: readonly string[] | undefined
  /** By lower-case field name. */
  readonly headers: ReadonlyMap<string, ValueMatch>
  readonly query: ReadonlyMap<string, ValueMatch>
}

export type PathMatch =
  | { readonly kind: 'prefix'; readonly path: string }
  | { readonly kind: 'exact'; readonly path: string }
  | { readonly kind: 'regex'; readonly regex: string }

export type ValueMatch =
  | { readonly kind: 'present' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'equals'; readonly value: string }
  | { readonly kind: 'regex'; readonly regex: string }

/** `Infinity` for no limit. */
export interface LimitsConfig {
  readonly tunnels: number
  readonly tunnelsPerClient: number
  readonly handshakesPerSecond: number
  readonly requestsPerSecond: number
}

export interface TimeoutsConfig {
  readonly connectMs: number
  /** For the head of the answer to an upgrade. */
  readonly handshakeMs: number
  /** For the head of the answer to a plain request. */
  readonly responseMs: number
  /** For the next part of a request's body. */
  readonly bodyMs: number
  readonly idleMs: number
  readonly lifetimeMs: number
}

export interface FieldEdits {
  readonly set: readonly (readonly [name: string, value: string])[]
  /** Lower-case names. */
  readonly remove: readonly string[]
}

export interface KeepaliveConfig {
  /** Silence after which a peer is pinged. */
  readonly pingMs: number
  /** From the ping: a peer that is still silent is dead. */
  readonly timeoutMs: number
  /** The upstream is pinged as well. */
  readonly upstream: boolean
}

/** How tunnels are closed by the gateway. */
export interface CloseConfig {
  /** How long a peer may take to answer. */
  readonly timeoutMs: number
  /** What WebSocket peers are told, by the reason. */
  readonly frames: Readonly<Record<CloseReason, CloseFrameConfig>>
}

type CloseReason =
  | 'idle'
  | 'lifetime'
  | 'dead'
  | 'expired'
  | 'drain'
  | 'reload'
  | 'kill'
  | 'rebalance'

interface CloseFrameConfig {
  readonly code: number
  /** At most 123 bytes of UTF-8, the hint of when to come back included. */
  readonly text: string
}
