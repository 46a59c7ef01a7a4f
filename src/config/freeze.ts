/** Freezes a value with all that it holds, maps included: the configuration never changes while it is in use. */
export function deepFreeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  if (value instanceof Map) {
    for (const item of value.values()) deepFreeze(item)
    // Object.freeze does not reach the entries of a map: its own methods have to refuse.
    Object.defineProperties(value, {
      set: { value: refuse },
      delete: { value: refuse },
      clear: { value: refuse },
    })
  } else {
    for (const item of Object.values(value)) deepFreeze(item)
  }
  return Object.freeze(value)
}

function refuse(): never {
  throw new TypeError('The configuration is frozen.')
}
