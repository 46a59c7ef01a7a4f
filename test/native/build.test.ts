import assert from 'node:assert/strict'
import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { findProgram, runProgram, type Exit } from '../support/programs.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

const compiler = findProgram('cc', 'gcc libc6-dev')
const onLinux = { skip: process.platform === 'linux' ? false : 'the native relay needs Linux' }
const withCompiler = { skip: onLinux.skip || compiler.skip }

/** The project's sources and packages in a folder of their own, where nothing is built yet. */
class Checkout implements AsyncDisposable {
  readonly folder: string

  static async make({ hasPackages = true } = {}): Promise<Checkout> {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-build-'))
    const checkout = new Checkout(folder)
    await cp(join(root, 'package.json'), join(folder, 'package.json'))
    await cp(join(root, 'native'), join(folder, 'native'), { recursive: true })
    if (hasPackages) await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
    return checkout
  }

  private constructor(folder: string) {
    this.folder = folder
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  build(env: Record<string, string> = {}, ...args: string[]): Promise<Exit> {
    return runProgram(process.execPath, ['native/build.ts', ...args], {
      cwd: this.folder,
      env: { ...process.env, UPGATE_NATIVE: '', CC: '', ...env },
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true })
  }
}

describe('the build of the native relay', () => {
  it('makes a file that Node loads, and replaces it as a whole', withCompiler, async () => {
    await using checkout = await Checkout.make()
    const relay = checkout.path('build/relay.node')
    const { code, stdout, stderr } = await checkout.build()
    assert.equal(code, 0, stderr)
    assert.match(stdout, /^upgate: cc built build\/relay\.node in [\d.]+ s\n$/)
    const load = [
      '-e',
      `if (typeof require(${JSON.stringify(relay)}) !== 'object') process.exit(1)`,
    ]
    assert.deepEqual(await runProgram(process.execPath, load), {
      code: 0,
      signal: null,
      stdout: '',
      stderr: '',
    })
    // A process that has loaded the first file keeps it: the second is another one under the same name.
    const before = await stat(relay)
    await checkout.build()
    assert.notEqual((await stat(relay)).ino, before.ino)
    assert.deepEqual(await readdir(checkout.path('build')), ['relay.node'])
  })

  const clang = findProgram('clang')

  it('takes the compiler of CC', { skip: onLinux.skip || clang.skip }, async () => {
    await using checkout = await Checkout.make()
    const { code, stdout, stderr } = await checkout.build({ CC: `${clang.path} -O1` })
    assert.equal(code, 0, stderr)
    assert.match(stdout, /clang -O1 built build\/relay\.node/)
  })

  it('says what to install where there is no compiler, and is content', onLinux, async () => {
    await using checkout = await Checkout.make()
    const { code, stderr } = await checkout.build({ CC: 'no-such-compiler -m64' })
    assert.equal(
      stderr,
      'upgate: no C compiler (no-such-compiler) found: the portable relay will be used; install gcc or clang and run `npm run build:native`\n',
    )
    assert.equal(code, 0)
    assert.deepEqual(await readdir(checkout.path('build')), [])
  })

  it(
    'says what to install where the compiler lacks the C library, and is content',
    onLinux,
    async () => {
      await using checkout = await Checkout.make()
      const { code, stderr } = await checkout.build({ CC: 'false' })
      assert.match(
        stderr,
        /^upgate: the C compiler \(false\) cannot build anything here: .*libc6-dev.*build:native/,
      )
      assert.equal(code, 0)
    },
  )

  it('builds nothing where UPGATE_NATIVE is off', async () => {
    await using checkout = await Checkout.make()
    const { code, stderr } = await checkout.build({ UPGATE_NATIVE: 'off' })
    assert.equal(stderr, 'upgate: UPGATE_NATIVE=off: the portable relay will be used\n')
    assert.equal(code, 0)
  })

  it('is content without the development dependencies', onLinux, async () => {
    await using checkout = await Checkout.make({ hasPackages: false })
    const { code, stderr } = await checkout.build()
    assert.match(stderr, /^upgate: the development dependencies are not installed: .*`npm ci`\n$/)
    assert.equal(code, 0)
  })

  it('leaves in place what was built before where it cannot build again', onLinux, async () => {
    await using checkout = await Checkout.make()
    await mkdir(checkout.path('build'))
    await writeFile(checkout.path('build/relay.node'), 'as it was')
    const { code, stderr } = await checkout.build({ CC: 'no-such-compiler' })
    assert.match(stderr, /: build\/relay\.node stays as it was built before; install gcc/)
    assert.equal(code, 0)
    assert.equal((await stat(checkout.path('build/relay.node'))).size, 'as it was'.length)
  })

  it('fails with the words of the compiler where a source is wrong', withCompiler, async () => {
    await using checkout = await Checkout.make()
    // Not an error to the compiler, but a warning that the project takes for one.
    await writeFile(checkout.path('native/wrong.c'), 'int wrong(void);\nint wrong(void)\n{\n}\n')
    const { code, stderr } = await checkout.build()
    assert.equal(code, 1)
    assert.match(stderr, /^upgate: cc cannot build relay\.node:\n[^]*native\/wrong\.c:4:1: error: /)
    assert.deepEqual(await readdir(checkout.path('build')), [])
  })
})

describe('the build for other machines', () => {
  const EM_AARCH64 = 183
  const musl = findProgram('musl-gcc', 'musl-tools')
  const arm64 = findProgram('aarch64-linux-gnu-gcc', 'gcc-aarch64-linux-gnu libc6-dev-arm64-cross')

  async function machineOf(path: string): Promise<number> {
    return (await readFile(path)).readUInt16LE(18)
  }

  it('makes a file for musl', { skip: onLinux.skip || musl.skip }, async () => {
    await using checkout = await Checkout.make()
    const { code, stderr } = await checkout.build({}, '--target', 'musl')
    assert.equal(code, 0, stderr)
    const machine = await machineOf(checkout.path('build/relay-musl.node'))
    assert.equal(machine, await machineOf(process.execPath))
  })

  it('makes a file for arm64', { skip: onLinux.skip || arm64.skip }, async () => {
    await using checkout = await Checkout.make()
    const { code, stderr } = await checkout.build({}, '--target', 'arm64')
    assert.equal(code, 0, stderr)
    assert.equal(await machineOf(checkout.path('build/relay-arm64.node')), EM_AARCH64)
  })

  it(
    'fails where the C library lacks a function',
    { skip: onLinux.skip || musl.skip },
    async () => {
      await using checkout = await Checkout.make()
      const code =
        '#include <string.h>\nchar *strfry(char *);\nchar *stir(char *);\nchar *stir(char *s) { return strfry(s); }\n'
      await writeFile(checkout.path('native/stir.c'), code)
      const exit = await checkout.build({}, '--target', 'musl')
      assert.equal(exit.code, 1)
      assert.match(exit.stderr, /undefined reference to `strfry'/)
      assert.deepEqual(await readdir(checkout.path('build')), [])
    },
  )

  it('names the targets that there are', async () => {
    await using checkout = await Checkout.make()
    const { code, stderr } = await checkout.build({}, '--target', 'vax')
    assert.equal(stderr, 'upgate: there is no target vax, but musl, arm64\n')
    assert.equal(code, 1)
  })
})

describe('the install script', () => {
  async function install(checkout: Checkout, env: Record<string, string>): Promise<Exit> {
    const { scripts } = JSON.parse(await readFile(checkout.path('package.json'), 'utf8')) as {
      scripts: { install: string }
    }
    const path = `${dirname(process.execPath)}${delimiter}${process.env['PATH']}`
    return runProgram('sh', ['-c', scripts.install], {
      cwd: checkout.folder,
      env: { ...process.env, PATH: path, ...env },
    })
  }

  it('runs the build', async () => {
    await using checkout = await Checkout.make()
    const { code, stderr } = await install(checkout, { UPGATE_NATIVE: 'off' })
    assert.match(stderr, /^upgate: UPGATE_NATIVE=off/)
    assert.equal(code, 0)
  })

  it('fails where the build fails', withCompiler, async () => {
    await using checkout = await Checkout.make()
    await writeFile(checkout.path('native/wrong.c'), 'wrong')
    assert.equal((await install(checkout, { UPGATE_NATIVE: '' })).code, 1)
  })

  it('is content with a Node that cannot run the build, and without the sources', async () => {
    await using checkout = await Checkout.make()
    const told = 'upgate: the native relay is not built by this install\n'
    const old = await install(checkout, { NODE_OPTIONS: '--no-experimental-strip-types' })
    assert.deepEqual([old.code, old.stderr], [0, told])
    await rm(checkout.path('native'), { recursive: true })
    const bare = await install(checkout, {})
    assert.deepEqual([bare.code, bare.stderr], [0, told])
  })
})
