/** The words of the log: every message with its fields, and what each field means. A test holds them against real lines. */

export interface LogMessage {
  readonly message: string
  readonly level: string
  readonly when: string
  /** Besides `level`, `time` and `msg`, which every line has. */
  readonly fields: readonly string[]
}

const request =
  'route upstream endpoint clientIp host path method protocol httpVersion endpointHttpVersion user status'
const tunnel = `requestId tunnelId ${request} handshakeMs`
const end = 'durationMs bytesUp bytesDown'
const told = 'messagesUp messagesDown firstUpMs firstDownMs'
const webSocket = 'wsCloseBy wsCloseCode blind'

export const logMessages: readonly LogMessage[] = [
  {
    message: 'listening',
    level: 'info',
    when: 'A listener is bound.',
    fields: ['url'],
  },
  {
    message: 'admin listening',
    level: 'info',
    when: 'The admin address is bound.',
    fields: ['url'],
  },
  {
    message: 'listening no more',
    level: 'info',
    when: 'A reload has removed a listener. What is in progress on its connections goes on.',
    fields: ['url'],
  },
  {
    message: 'ready',
    level: 'info',
    when: 'The start is over.',
    fields: ['version', 'node', 'relay', 'why'],
  },
  {
    message: 'tunnel open',
    level: 'info',
    when: 'A checked 101 went to the client.',
    fields: tunnel.split(' '),
  },
  {
    message: 'tunnel close',
    level: 'info',
    when: 'Both connections of a tunnel are closed.',
    fields: `${tunnel} ${end} ${told} by reason cause ${webSocket}`.split(' '),
  },
  {
    message: 'request',
    level: 'info, or the level of its code',
    when: 'A plain request, a refused one, or an upgrade answered with something else than 101, is over.',
    fields: `requestId ${request} code ${end} cause`.split(' '),
  },
  {
    message: 'handshake without its Upgrade',
    level: 'warn',
    when: 'A peer that is not in `trustedProxies` sends WebSocket handshakes without `Upgrade`, as proxies do that remove it: they are plain requests. Once for each peer.',
    fields: ['clientIp', 'cause'],
  },
  {
    message: 'endpoint down',
    level: 'warn',
    when: 'An endpoint failed and is set aside.',
    fields: ['upstream', 'endpoint'],
  },
  {
    message: 'endpoint up',
    level: 'info',
    when: 'It answers again.',
    fields: ['upstream', 'endpoint'],
  },
  {
    message: 'endpoint drain',
    level: 'info',
    when: 'An operator empties an endpoint: it gets no new tunnels.',
    fields: ['upstream', 'endpoint'],
  },
  {
    message: 'endpoint enable',
    level: 'info',
    when: 'It gets tunnels again.',
    fields: ['upstream', 'endpoint'],
  },
  {
    message: 'rebalancing brings nothing',
    level: 'warn',
    when: 'Clients whose tunnels were closed for another endpoint come back to the one that they had.',
    fields: ['upstream'],
  },
  {
    message: 'nobody checks who answers for this upstream',
    level: 'warn',
    when: 'At each start and reload with `tls.insecure: true`.',
    fields: ['upstream'],
  },
  {
    message: 'no listener is for these sockets of systemd',
    level: 'warn',
    when: 'At each start and reload. Whoever connects there waits for nothing.',
    fields: ['sockets'],
  },
  {
    message: 'descriptors too few for the config',
    level: 'warn',
    when: 'At each start and reload with limits, of `connections` or `tunnels`, that need more descriptors than `ulimit -n` allows.',
    fields: ['limit', 'needed', 'cause'],
  },
  {
    message: 'no descriptors left',
    level: 'warn',
    when: 'There were no descriptors, or no memory, for a connection: requests are answered 503 (`E_GATEWAY_EXHAUSTED`), clients wait or are closed. At most once a minute.',
    fields: ['cause', 'times'],
  },
  {
    message: 'clients turned away',
    level: 'warn',
    when: 'A limit of a listener, or the share of it that one address may hold, is used up: connections are closed. At most once a minute for each limit.',
    fields: ['url', 'key', 'full', 'share', 'clientIp'],
  },
  {
    message: 'admin action',
    level: 'info',
    when: 'Somebody changed something through the admin API.',
    fields: 'action by route upstream endpoint tunnelId user clientIp tunnels'.split(' '),
  },
  {
    message: 'admin call failed',
    level: 'error',
    when: 'A call of the admin API was answered 500: a fault of the gateway itself.',
    fields: ['method', 'path', 'cause'],
  },
  {
    message: 'config reloaded',
    level: 'info',
    when: 'The config was read again and is in use. With no changes where it says the same as before.',
    fields: ['file', 'cause', 'changes', 'closed'],
  },
  {
    message: 'config not reloaded, the old one stays in use',
    level: 'error',
    when: 'It was read again and cannot be used.',
    fields: ['file', 'cause', 'problems'],
  },
  {
    message: 'config keys need a restart',
    level: 'warn',
    when: 'A reload found changes that it cannot make.',
    fields: ['keys'],
  },
  {
    message: 'credentials could not be checked again',
    level: 'warn',
    when: 'An auth server that is asked again about open tunnels cannot be asked. Once, not for each tunnel.',
    fields: ['route', 'check', 'tunnelId', 'cause'],
  },
  {
    message: 'file reloaded',
    level: 'info',
    when: 'A file of users or keys has changed, or one about certificates of clients.',
    fields: ['file', 'what'],
  },
  {
    message: 'file not reloaded, the old content stays in use',
    level: 'error',
    when: 'It has changed and is wrong, or cannot be read.',
    fields: ['file', 'what', 'cause'],
  },
  {
    message: 'certificate reloaded',
    level: 'info',
    when: 'The files of a certificate of a listener have changed: new clients are shown the new one.',
    fields: ['url', 'certificate', 'file', 'expires'],
  },
  {
    message: 'certificate not reloaded, the old one stays in use',
    level: 'error',
    when: 'They have changed and are wrong, or do not belong to each other.',
    fields: ['url', 'file', 'cause'],
  },
  {
    message: 'certificate expires soon',
    level: 'warn',
    when: 'In 21 days or less, or in the last third of its life where that is shorter: at the start, when a certificate is new, and once a day.',
    fields: ['url', 'certificate', 'file', 'expires'],
  },
  {
    message: 'certificate has expired',
    level: 'error',
    when: 'The same for one that clients refuse by now.',
    fields: ['url', 'certificate', 'file', 'expires'],
  },
  {
    message: 'key set not available',
    level: 'warn',
    when: 'The `jwks` URL of a check gives no keys. Once, not at each try.',
    fields: ['check', 'url', 'cause'],
  },
  {
    message: 'key set has keys that cannot be used',
    level: 'warn',
    when: 'They are passed over: RSA keys below 2048 bits, unknown types, what is no public key. Again when their number changes.',
    fields: ['check', 'url', 'cause'],
  },
  {
    message: 'key set available again',
    level: 'info',
    when: 'It does again.',
    fields: ['check', 'url'],
  },
  {
    message: 'log lines dropped',
    level: 'warn',
    when: 'Nobody read standard output for 8 MiB of lines; they are lost.',
    fields: ['lines'],
  },
  {
    message: 'draining',
    level: 'info',
    when: 'The first SIGTERM or SIGINT came.',
    fields: ['tunnels', 'drainMs'],
  },
  {
    message: 'closing tunnels',
    level: 'info',
    when: 'At the start of a drain and every five seconds; without `shutdown.spread` once, at its end.',
    fields: ['reason', 'upstream', 'endpoint', 'left', 'of'],
  },
]

/** In the order in which they are read. */
export const logFields: ReadonlyMap<string, string> = new Map([
  ['level', '`debug`, `info`, `warn` or `error`.'],
  ['time', 'RFC 3339, UTC, with milliseconds.'],
  ['msg', 'One of the messages above.'],
  [
    'requestId',
    'X-Request-Id: of a trusted proxy, else made here. The upstream gets it, and whoever is refused reads it.',
  ],
  ['tunnelId', 'Of one tunnel: the same at open and at close.'],
  ['route', 'Its name in the config. Missing where no route matched.'],
  ['upstream', 'Its name in the config.'],
  ['endpoint', 'The one tried last, as written in the config.'],
  [
    'clientIp',
    'The address of the client: of the peer, or what trusted proxies say. Empty for a unix socket.',
  ],
  ['host', 'The host asked for, without its port.'],
  ['path', 'As routes see it, without the query.'],
  ['method', 'As sent.'],
  [
    'protocol',
    'The token of the upgrade: the one switched to, in lower case; where none was, the first one asked for. By HTTP/2 it is the `:protocol` of an extended CONNECT, whose `method` is GET here.',
  ],
  ['httpVersion', '`2.0` for a client that speaks HTTP/2, else left out.'],
  ['endpointHttpVersion', '`2.0` for what went to its endpoint by HTTP/2, else left out.'],
  ['user', 'Who passed the checks.'],
  [
    'status',
    'What the client got. 101 for a tunnel, 499 for a client that left before its answer.',
  ],
  ['code', 'Why the gateway refused: see [Refusals](#refusals).'],
  ['handshakeMs', 'From the head of the request to its 101.'],
  ['durationMs', 'Of a tunnel: from the 101 to the end. Of a request: from its head to its end.'],
  [
    'bytesUp',
    'From the client to the upstream, without heads. Of a plain request: those of its body.',
  ],
  ['bytesDown', 'From the upstream to the client, likewise.'],
  ['messagesUp', 'Whole WebSocket messages from the client, text and binary.'],
  ['messagesDown', 'From the upstream, likewise.'],
  ['firstUpMs', 'From the 101 to the first byte of the client. Missing where none came.'],
  ['firstDownMs', 'To the first byte of the upstream, likewise.'],
  [
    'by',
    'Who ended the tunnel: `client`, `upstream`, `gateway`, or `admin` for an operator. Of an admin action: the address that it came from.',
  ],
  [
    'reason',
    'Why: `eof` after a FIN, `reset` after a RST, `error` for what else broke, with a cause. The rest are the gateway and its operators: `idle` and `lifetime` by the timeouts, `dead` for a peer that answers no ping, `expired` when its credentials ended, `drain` at shutdown or when its endpoint is emptied, `reload` when a new config has no place for it, `kill` by hand, `rebalance` so that it comes back to another endpoint.',
  ],
  [
    'cause',
    'What happened, in words or as an error code. Of a reload, what asked for it: `signal`, `file` or `api`.',
  ],
  ['wsCloseBy', 'Who sent the first Close frame of a WebSocket; where there was none, as `by`.'],
  ['wsCloseCode', 'Its code, 1005 for a frame without one; 1006 where there was no Close frame.'],
  [
    'blind',
    'Who broke the WebSocket protocol, so that its messages could not be counted any further: `client`, `upstream` or `both`.',
  ],
  ['url', 'Where it listens; or where keys are fetched.'],
  ['version', 'Of upgate.'],
  ['node', 'The version of Node.'],
  ['relay', 'What moves the bytes of tunnels: `native` or `portable`.'],
  ['why', 'Why that one, and how many threads it has: see [Which relay runs](#which-relay-runs).'],
  ['file', 'Its absolute path.'],
  ['what', 'What the file is for.'],
  ['certificate', 'The first name that it has.'],
  ['expires', 'When it ends, as `time`.'],
  ['check', 'The name of the check in the config.'],
  ['lines', 'How many.'],
  [
    'action',
    'What was asked for: `close`, `drain`, `enable`, `rebalance`, `rebalance stop` or `reload`.',
  ],
  ['changes', 'In how many places the new config differs from the old one.'],
  ['closed', 'How many tunnels it has no place for: they are closed.'],
  ['problems', 'What is wrong with the file, a line each.'],
  ['keys', 'Those of the config, as a list.'],
  ['limit', 'How many descriptors the process may have.'],
  ['needed', 'How many it needs.'],
  ['times', 'How often since the last such line.'],
  ['key', 'The key of the listener in the config that has the limit.'],
  ['full', 'Clients turned away since the last such line as everything was in use.'],
  ['share', 'Likewise, as their address held its share: an eighth, and at least 4.'],
  ['sockets', 'Names (`FileDescriptorName=`) and descriptors, as a list: `admin (4)`.'],
  ['tunnels', 'How many are open; of an admin action, how many it closes.'],
  ['drainMs', '`shutdown.drain`.'],
  ['left', 'How many are still to be closed.'],
  ['of', 'How many there were to close.'],
])

export function logLinesTable(): string {
  const rows = logMessages.map(
    ({ message, level, when, fields }) =>
      `| \`${message}\` | ${level} | ${when} | ${fields.join(' ')} |`,
  )
  return ['| Message | Level | When | Fields |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

export function logFieldsTable(): string {
  const rows = [...logFields].map(([field, meaning]) => `| \`${field}\` | ${meaning} |`)
  return ['| Field | Meaning |', '| --- | --- |', ...rows].join('\n')
}
