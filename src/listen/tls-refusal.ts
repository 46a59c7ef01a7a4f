/** Why a TLS handshake has failed, where that is the fault of the certificate that the client has shown, or has not. */

import type { TLSSocket } from 'node:tls'
import { Refusal } from '../errors.ts'
import { socketBelow } from './tls-below.ts'

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

/** Also when the connection is closed. */
export function peerAddressOf(socket: TLSSocket): string {
  return socketBelow(socket)?.remoteAddress ?? socket.remoteAddress ?? ''
}
