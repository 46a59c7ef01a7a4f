/** One entry of `listeners` as the file has it. */

import { z } from 'zod'

import { certificateName, listenerAddress } from './network.ts'
import { choice, count, duration, file, flag, limit, list, size, text, word } from './scalars.ts'
import { key, optional, required, section } from './section.ts'

/** Where there is one certificate. */
export const certificateFiles = {
  cert: required(file(), 'PEM file: the certificate, then those of its issuers.'),
  key: required(file(), 'PEM file: the private key of the certificate.'),
}

/** Of the file of a unix socket. */
export const socketFile = {
  mode: optional(
    word(/^0?[0-7]{3}$/, 'expected a mode in quotes, such as "0660"')
      .transform((value) => Number.parseInt(value, 8))
      .meta({ title: 'mode' }),
    'Of the file of a unix socket, such as "0660", with quotes; what the umask leaves if left out.',
  ),
  owner: optional(
    word(
      /^(?:[A-Za-z0-9_][A-Za-z0-9_.-]*(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?|:[A-Za-z0-9_][A-Za-z0-9_.-]*)$/,
      'expected user:group, user or :group',
    ).meta({ title: 'owner' }),
    'Of the file of a unix socket: user:group, user or :group, names or numbers.',
  ),
}

const certificate = section({
  ...certificateFiles,
  names: optional(
    list(certificateName(), 'a list of names, such as [chat.example.com, "*.example.com"]', 1),
    'Names that it is shown for; those that it has if left out.',
  ),
})

const tls = section({
  cert: optional(file(), 'PEM file: the certificate, then those of its issuers.'),
  key: optional(file(), 'PEM file: the private key of the certificate.'),
  certificates: key(
    list(certificate, 'a list of certificates, such as [{ cert: a.pem, key: a-key.pem }]'),
    [],
    'More of them, chosen by the name that a client asks for; of one name EC and RSA. The first of all is the default.',
  ),
  unknownNames: key(
    choice(['default', 'refuse']),
    'default',
    'What clients get that ask for a name without a certificate, or for none: the default one, or unrecognized_name.',
  ),
  minVersion: key(
    choice(['TLSv1.2', 'TLSv1.3']),
    'TLSv1.2',
    'The least version; clients with older ones are refused.',
  ),
  ciphers: optional(
    text('a list of ciphers'),
    "OpenSSL's cipher list, those of TLS 1.3 by their names: TLS_AES_256_GCM_SHA384:ECDHE+AESGCM. Node's if left out.",
  ),
  handshakeTimeout: key(duration(), '10s', 'For the handshake of TLS; then the client is closed.'),
  handshakes: key(
    count(1, 1_000_000),
    1000,
    'Handshakes of TLS in progress at once, from the ClientHello on; an eighth of them, and at least 4, from one address. Clients beyond are closed.',
  ),
  http2: key(
    flag(),
    false,
    'Offers HTTP/2 beside HTTP/1.1: WebSockets come by extended CONNECT (RFC 8441), plain requests as ever.',
  ),
  clientCa: optional(
    file(),
    "PEM file: the authorities of clients' certificates. Clients are asked for none if left out.",
  ),
  clientCert: optional(
    choice(['request', 'require']),
    'With clientCa: whether clients may have none, or a wrong one (request), or have to have a right one; require if left out.',
  ),
  crl: optional(
    file(),
    'With clientCa: PEM file of the lists of revoked certificates, one of each authority. Certificates are refused when the list of their authority is missing or out of date.',
  ),
}).superRefine((value, context) => {
  const { cert, key: keyFile, certificates, clientCa, clientCert, crl } = value
  for (const [name, own] of Object.entries({ clientCert, crl })) {
    if (own === undefined || clientCa !== undefined) continue
    context.addIssue({ code: 'custom', path: [name], message: 'needs clientCa beside it' })
  }
  const missing = (name: string): void => {
    context.addIssue({ code: 'custom', path: [name], message: 'expected the path of a file' })
  }
  if (cert !== undefined && keyFile === undefined) missing('key')
  else if (cert === undefined && keyFile !== undefined) missing('cert')
  else if (cert === undefined && certificates.length === 0) {
    context.addIssue({ code: 'custom', message: 'expected cert and key, or certificates' })
  }
})

export const listener = section({
  address: key(
    listenerAddress(),
    '0.0.0.0:8080',
    'host:port, [::1]:port, :port, unix:/path, or systemd or systemd:NAME for sockets that systemd passes.',
  ),
  backlog: key(
    count(1, 65_535),
    1024,
    'Connections that wait to be accepted; the kernel allows as many as net.core.somaxconn.',
  ),
  reusePort: key(
    flag(),
    false,
    'Other processes may listen at the same port (SO_REUSEPORT); the kernel spreads clients over them.',
  ),
  ipv6Only: key(flag(), false, 'An address such as [::]:8080 takes no IPv4.'),
  ...socketFile,
  tls: optional(tls, 'Serves HTTPS here; plain HTTP if left out.'),
  h2c: key(
    flag(),
    false,
    'Without tls: takes HTTP/2 from clients that begin with it (prior knowledge), such as a proxy in front.',
  ),
  redirect: optional(
    z.union(
      [
        choice(['https']),
        section({ port: required(count(1, 65_535), 'The port of https, where it is not 443.') }),
      ],
      { error: 'expected https, or { port: NUMBER }' },
    ),
    'Answers every request here with 308 to the same host, path and query over https.',
  ),
  proxyProtocol: key(
    choice(['off', 'optional', 'required']),
    'off',
    'Trusted proxies say by the PROXY protocol (v1, v2) whose connections they pass on. optional: some do; required: who does not is closed.',
  ),
  headTimeout: key(duration(), '10s', 'For a whole request head: 408 after it.'),
  headBytes: key(size(1024, 1024 ** 2), '16KiB', 'The largest request head: 431 above it.'),
  keepAliveTimeout: key(duration(), '75s', 'How long a connection may wait for its next request.'),
  connections: key(
    limit(),
    'off',
    'Connections open at once on this listener; an eighth of them, and at least 4, from one address. Those beyond are closed.',
  ),
  halfClose: key(
    flag(),
    false,
    'Plain requests of clients that end their side and still read are answered. Without it such an end means that the client has left.',
  ),
})

export type Listener = z.output<typeof listener>
export type ListenerTls = NonNullable<Listener['tls']>
