/** Pure readers of a raw query. Names and values are read as WHATWG URLs read them: `+` is a blank, a stray `%` stays. */

/** The decoded value of the first parameter of that name. */
export function queryValue(query: string, name: string): string | undefined {
  return query === '' ? undefined : (parametersOf(query).get(name) ?? undefined)
}

/** The decoded values of all parameters of that name, in order. */
export function queryValues(query: string, name: string): string[] {
  return query === '' ? [] : parametersOf(query).getAll(name)
}

/** The query without the parameters of these names, however they are encoded; the rest stays byte for byte. */
export function withoutParams(query: string, names: readonly string[]): string {
  if (query === '' || names.length === 0) return query
  const parts = query.split('&')
  const kept = parts.filter((part) => !names.includes(nameIn(part)))
  return kept.length === parts.length ? query : kept.join('&')
}

function nameIn(part: string): string {
  const equals = part.indexOf('=')
  const raw = equals < 0 ? part : part.slice(0, equals)
  if (!/[%+]/.test(raw)) return raw
  const [name] = parametersOf(raw).keys()
  return name ?? raw
}

/** URLSearchParams drops one leading `?`, which would be part of the first name here. */
function parametersOf(query: string): URLSearchParams {
  return new URLSearchParams(`?${query}`)
}
