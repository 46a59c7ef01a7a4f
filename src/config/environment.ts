/**
 * Puts values of the environment into text: `${NAME}`, `${NAME:-default}`, and `$${` for a literal `${`. It works on
 * values that are parsed already, so what stands in the environment can never become structure.
 */

export type Environment = Readonly<Record<string, string | undefined>>

export interface Substitution {
  readonly text: string
  /** What is wrong; empty when all went well. */
  readonly problems: readonly string[]
}

/** `:-` also stands in for an empty variable, as in a shell. A value that was put in is not looked at again. */
export function substitute(text: string, env: Environment): Substitution {
  const problems: string[] = []
  const result = text.replace(/\$(\$\{)|\$\{([^}]*)(\}?)/g, (whole, literal, inner, end) => {
    if (literal !== undefined) return '${'
    const [, name, fallback] = /^([A-Za-z_]\w*)(?::-(.*))?$/s.exec(String(inner)) ?? []
    if (name === undefined || end === '') {
      problems.push(
        '"${" starts ${NAME} or ${NAME:-default}; write $${ where it is meant literally',
      )
      return whole
    }
    const value = env[name]
    if (fallback !== undefined && (value === undefined || value === '')) return fallback
    if (value === undefined) {
      problems.push(`the environment has no ${name}; set it, or write \${${name}:-default}`)
      return whole
    }
    return value
  })
  return { text: result, problems }
}
