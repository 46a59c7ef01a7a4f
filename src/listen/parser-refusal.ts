/** Why node's parser gave up a request, where that is the fault of the client. */

import { Refusal } from '../errors.ts'

/** E_HEAD_TOO_LARGE, E_HEAD_TIMEOUT, E_REQUEST_MALFORMED; undefined for a connection that broke: nobody is there to answer. */
export function parserRefusal({ code = '' }: NodeJS.ErrnoException): Refusal | undefined {
  if (code === 'HPE_HEADER_OVERFLOW') return new Refusal('E_HEAD_TOO_LARGE', { cause: code })
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new Refusal('E_HEAD_TIMEOUT', { cause: code })
  if (code.startsWith('HPE_')) {
    const cause = code === 'HPE_PAUSED_H2_UPGRADE' ? 'HTTP/2 with prior knowledge' : code
    return new Refusal('E_REQUEST_MALFORMED', { cause })
  }
  return undefined
}
