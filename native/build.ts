/**
 * Builds the native relay out of `native/*.c`. Where it cannot be built this says so and is content, because the
 * portable relay does the same; sources that do not compile are an error.
 *
 *     node native/build.ts                  build/relay.node, for this machine
 *     node native/build.ts --target musl    build/relay-musl.node, for another C library or processor
 */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  cSources,
  crossTargets,
  findNodeApi,
  hostCompiler,
  languageFlags,
  sharedObjectFlags,
  type Command,
  type NodeApi,
} from './toolchain.ts'

const root = join(import.meta.dirname, '..')

interface Outcome {
  readonly isDone: boolean
  readonly isCompilerMissing: boolean
  /** What the compiler wrote. */
  readonly words: string
}

interface Obstacle {
  readonly reason: string
  /** What to do about it. */
  readonly remedy?: string
}

/** Compiles the files among the arguments together with `code`. */
function compile([program, ...first]: Command, args: readonly string[], code: string): Outcome {
  const input = code === '' ? [] : ['-x', 'c', '-']
  const result = spawnSync(program, [...first, ...args, ...input], {
    cwd: root,
    input: code,
    encoding: 'utf8',
  })
  // One that ends without reading the code has run all the same (EPIPE).
  if (result.status !== null)
    return {
      isDone: result.status === 0,
      isCompilerMissing: false,
      words: result.stdout + result.stderr,
    }
  const problem: NodeJS.ErrnoException = result.error ?? new Error(`ended by ${result.signal}`)
  if (problem.code !== 'ENOENT' && problem.code !== 'EACCES') throw problem
  return { isDone: false, isCompilerMissing: true, words: '' }
}

/** Why nothing can be built on this machine. */
function findObstacle(compiler: Command, output: string): Obstacle | undefined {
  if (process.env['UPGATE_NATIVE'] === 'off') return { reason: 'UPGATE_NATIVE=off' }
  if (process.platform !== 'linux') return { reason: 'the native relay needs Linux' }
  if (findNodeApi() === undefined)
    return {
      reason: 'the development dependencies are not installed',
      remedy: 'install them with `npm ci`',
    }
  // A compiler can be there without the headers of the C library, as Debian's package gcc can.
  const flags = ['-shared', '-fPIC', '-pthread', '-o', output]
  const trial = compile(compiler, flags, '#include <stdio.h>\n#include <sys/epoll.h>\n')
  rmSync(output, { force: true })
  if (trial.isDone) return undefined
  if (trial.isCompilerMissing)
    return {
      reason: `no C compiler (${compiler[0]}) found`,
      remedy: 'install gcc or clang and run `npm run build:native`',
    }
  return {
    reason: `the C compiler (${compiler[0]}) cannot build anything here`,
    remedy: `install the headers of the C library (libc6-dev, musl-dev) and run \`npm run build:native\`\n${trial.words}`,
  }
}

function tellObstacle({ reason, remedy }: Obstacle): void {
  const consequence = existsSync(join(root, 'build/relay.node'))
    ? 'build/relay.node stays as it was built before'
    : 'the portable relay will be used'
  const told = [`${reason}: ${consequence}`, ...(remedy === undefined ? [] : [remedy])]
  process.stderr.write(`upgate: ${told.join('; ').trimEnd()}\n`)
}

/**
 * What Node does when it loads the file: looks for each function that the file does not have, in Node and in the C
 * library. For a file that this machine cannot load, the linker looks.
 */
function linkWhole(compiler: Command, args: readonly string[], { functions }: NodeApi): Outcome {
  const standIns = functions.map((name) => `void ${name}(void);\nvoid ${name}(void) {}\n`)
  return compile(compiler, ['-Wl,-z,defs', ...args], standIns.join(''))
}

/** Returns whether it was built, and writes the compiler's words where it was not. */
function build(compiler: Command, name: string, isForHere: boolean): boolean {
  const nodeApi = findNodeApi()
  if (nodeApi === undefined) throw new Error('node-api-headers is not installed')
  // A process that runs keeps the file that it has loaded, and one that starts finds a whole file.
  const unfinished = join(root, `build/${name}.${process.pid}`)
  const args = [
    ...languageFlags,
    ...sharedObjectFlags,
    '-isystem',
    nodeApi.headers,
    '-o',
    unfinished,
    ...cSources(import.meta.dirname),
  ]
  const startMs = performance.now()
  try {
    const check = isForHere ? undefined : linkWhole(compiler, args, nodeApi)
    const outcome = check?.isDone === false ? check : compile(compiler, args, '')
    if (!outcome.isDone) {
      const words = outcome.isCompilerMissing ? 'it is not installed\n' : outcome.words
      process.stderr.write(`upgate: ${compiler.join(' ')} cannot build ${name}:\n${words}`)
      return false
    }
    renameSync(unfinished, join(root, 'build', name))
  } finally {
    rmSync(unfinished, { force: true })
  }
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
  process.stdout.write(`upgate: ${compiler.join(' ')} built build/${name} in ${seconds} s\n`)
  return true
}

function main(target: string | undefined): boolean {
  mkdirSync(join(root, 'build'), { recursive: true })
  if (target === undefined) {
    const compiler = hostCompiler()
    const obstacle = findObstacle(compiler, join(root, `build/trial.${process.pid}`))
    if (obstacle === undefined) return build(compiler, 'relay.node', true)
    tellObstacle(obstacle)
    return true
  }
  const found = crossTargets.find(({ name }) => name === target)
  if (found !== undefined) return build([found.compiler], `relay-${target}.node`, false)
  const known = crossTargets.map(({ name }) => name).join(', ')
  process.stderr.write(`upgate: there is no target ${target}, but ${known}\n`)
  return false
}

const { values } = parseArgs({ options: { target: { type: 'string' } } })
if (!main(values.target)) process.exitCode = 1
