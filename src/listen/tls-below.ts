/** The connection that TLS runs over. */

import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

/** It also remembers what it was asked before it was closed, and what a proxy has told of it. Node has no public name for it. */
export function socketBelow(secure: TLSSocket): Socket | undefined {
  return (secure as { readonly _parent?: Socket })._parent
}
