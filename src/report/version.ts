/** The program's version, from the package.json beside `src` and `dist`. */

import { readFileSync } from 'node:fs'

const packageJson = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')

export const version = (JSON.parse(packageJson) as { readonly version: string }).version
