/** The gateways that are compared, in the order of the tables. */
import type { Peer } from './peer.ts'
import { apache2 } from './peers/apache2.ts'
import { caddy } from './peers/caddy.ts'
import { haproxy } from './peers/haproxy.ts'
import { httpProxy3 } from './peers/http-proxy-3.ts'
import { nginx } from './peers/nginx.ts'
import { upgate, upgateTwoThreads, upgateWithoutFrames } from './peers/upgate.ts'

export const peers: readonly Peer[] = [
  upgate,
  upgateTwoThreads,
  upgateWithoutFrames,
  httpProxy3,
  nginx,
  haproxy,
  caddy,
  apache2,
]
