/** JSON for scripts that is also safe to look at. */

/** The API's answer. Control characters that JSON lets through are escaped: some terminals obey them. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value, null, 2)
  return `${text.replaceAll(/[\x7f-\x9f]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`
}
