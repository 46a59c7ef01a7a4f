/** Schemas that have a name in the OpenAPI document: it describes them once. */

import { z } from 'zod'

export const namedSchemas = z.registry<{ readonly id: string }>()

/** Gives a schema its name, in the words of code generators: `TunnelList`. */
export function named<Schema extends z.ZodType>(id: string, schema: Schema): Schema {
  namedSchemas.add(schema, { id })
  return schema
}
