/** A jwt check's configuration with only what a test cares about. */

import type { JwtAuthConfig } from '../../src/config/config.ts'

/** Without a key: give one of `jwks`, `secret` and `publicKey`. */
export function jwtConfig(changes: Partial<JwtAuthConfig>): JwtAuthConfig {
  return {
    name: 'people',
    type: 'jwt',
    from: [{ in: 'header', name: 'Authorization' }],
    jwks: undefined,
    secret: undefined,
    publicKey: undefined,
    algorithms: ['RS256', 'ES256'],
    issuer: undefined,
    audience: undefined,
    clockToleranceMs: 0,
    claims: new Map(),
    userClaim: 'sub',
    realm: 'chat',
    closeOnExpiry: true,
    ...changes,
  }
}
