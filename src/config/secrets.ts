/** Which values of a configuration nobody sees who did not write them: what stands in their place. */

/** In place of a secret, of whatever length. */
export const MASK = '***'

/** Of keys whose value is a secret wherever they stand: `secret` of a check, `token` of the admin server. */
const secretKeys: ReadonlySet<string> = new Set(['secret', 'token'])

/** Keys of services that are asked over HTTP; the query of such a URL may carry a key. */
const urlKeys: ReadonlySet<string> = new Set(['jwks', 'url'])

/** `value` at `key` as it may be shown. */
export function shownText(key: string, value: string): string {
  if (secretKeys.has(key)) return MASK
  return urlKeys.has(key) ? value.replace(/\?.*$/s, `?${MASK}`) : value
}

/** Whether the value of a header field or of a query parameter with this name may be a credential. */
export function isCredentialName(name: string): boolean {
  return /auth|cookie|credential|key|pass|secret|session|signature|token/i.test(name)
}
