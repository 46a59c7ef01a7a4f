/** Why a TLS handshake has failed, where that is the fault of the certificate that the client has shown, or has not. */

import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { Refusal } from '../errors.ts'

/** OpenSSL's name for it, and ours where it does not look: a session that is resumed was verified before. */
export const HAS_EXPIRED = 'CERT_HAS_EXPIRED'

/** E_AUTH_MISSING, E_AUTH_INVALID; undefined where it has failed for another reason. */
export function certificateRefusal(
  { code }: NodeJS.ErrnoException,
  { authorizationError }: TLSSocket,
): Refusal | undefined {
  if (code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE') {
    return new Refusal('E_AUTH_MISSING', { cause: 'no client certificate' })
  }
  // Node's types say it is an Error; it is the code of one, or null.
  const failure = code === HAS_EXPIRED ? code : (authorizationError as unknown as string | null)
  if (failure === null) return undefined
  return new Refusal('E_AUTH_INVALID', { cause: `client certificate: ${failure}` })
}

/** Also when the connection is closed: the socket below remembers what it was asked before, and what a proxy has told of it. */
export function peerAddressOf(socket: TLSSocket): string {
  const { _parent: below } = socket as { readonly _parent?: Socket }
  return below?.remoteAddress ?? socket.remoteAddress ?? ''
}
