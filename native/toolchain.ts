/** What the native relay is made of, and how a C compiler is told to make it. Imported by what builds and what tests it. */

import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

/** How every C file is compiled, whatever it becomes. */
export const languageFlags = [
  '-std=c11',
  // epoll, accept4 and the like. Empty, so that a file may define it as well.
  '-D_GNU_SOURCE=',
  '-pthread',
  '-g',
  '-Wall',
  '-Wextra',
  '-Wpedantic',
  '-Wshadow',
  '-Wconversion',
  '-Wsign-conversion',
  '-Wstrict-prototypes',
  '-Wmissing-prototypes',
  '-Wcast-qual',
  '-Wwrite-strings',
  '-Wpointer-arith',
  '-Wundef',
  '-Wvla',
  '-Wformat=2',
  '-Wimplicit-fallthrough',
  '-Werror',
]

/** What makes a shared object for production. */
export const sharedObjectFlags = [
  '-O2',
  '-fPIC',
  '-shared',
  // Node loads it beside other addons: nothing but what Node asks for is visible.
  '-fvisibility=hidden',
  '-fstack-protector-strong',
  // Some distributions define it already, with another value.
  '-U_FORTIFY_SOURCE',
  '-D_FORTIFY_SOURCE=2',
  // Clang finds fault with a macro of Node's headers in the addon. The tests compile the core without this.
  '-Wno-missing-prototypes',
  '-Wl,-z,relro,-z,now,-z,noexecstack',
]

/** A program and its first arguments. */
export type Command = readonly [string, ...string[]]

/** Compilers for a C library or a processor other than this machine's. */
export const crossTargets = [
  { name: 'musl', compiler: 'musl-gcc' },
  { name: 'arm64', compiler: 'aarch64-linux-gnu-gcc' },
] as const

/** The C files of a folder, by their absolute paths. */
export function cSources(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.c'))
  return names.toSorted().map((name) => join(folder, name))
}

/** `CC` may say `ccache gcc`. */
export function hostCompiler(): Command {
  const [program, ...args] = (process.env['CC'] ?? '').split(/\s+/).filter((word) => word !== '')
  return program === undefined ? ['cc'] : [program, ...args]
}

export interface NodeApi {
  readonly headers: string
  /** The functions that Node itself provides to what it loads. */
  readonly functions: readonly string[]
}

/** Undefined where the development dependencies are not installed. */
export function findNodeApi(): NodeApi | undefined {
  const require = createRequire(import.meta.url)
  try {
    const { include_dir: headers, symbols } = require('node-api-headers') as {
      include_dir: string
      symbols: Record<string, Record<'js_native_api_symbols' | 'node_api_symbols', string[]>>
    }
    const functions = Object.values(symbols).flatMap((version) => Object.values(version).flat())
    return { headers, functions: [...new Set(functions)] }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
}
