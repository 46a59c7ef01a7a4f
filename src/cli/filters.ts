/** Filters of the command line in the API's words. */

import type { Query } from './admin-client.ts'
import type { Values } from './arguments.ts'

export function filterQuery(values: Values): Query {
  return {
    route: values.route,
    upstream: values.upstream,
    endpoint: values.endpoint,
    user: values.user,
    client: values.client,
    protocol: values.protocol,
    minAge: values['min-age'],
    maxAge: values['max-age'],
    minIdle: values['min-idle'],
  }
}

/** For people; empty without any. */
export function filterText(filter: Query): string {
  return Object.entries(filter)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')
}
