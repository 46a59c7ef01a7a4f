/** The program: the only part that touches the command line, the environment, signals and exit codes. */

import { visibleLines } from './base/visible.ts'
import { parseArguments, type Command } from './cli/arguments.ts'
import { authFileProblems, summary } from './cli/check.ts'
import { chooseConfigFile, noConfigFile } from './cli/config-file.ts'
import { keepHeapSmall } from './cli/heap-keeper.ts'
import { help, helpOf } from './cli/help.ts'
import { endSignals, run, type Served } from './cli/run.ts'
import { terminalOf } from './cli/terminal.ts'
import type { Config } from './config/config.ts'
import { jsonSchema } from './config/json-schema.ts'
import { loadConfig } from './config/load.ts'
import { loadConfigInThread } from './config/load-thread.ts'
import { ConfigError } from './config/problem.ts'
import { version } from './report/version.ts'

const command = parseArguments(process.argv.slice(2))
// The log of a gateway has a stream of its own.
if (command.name !== 'run') process.stdout.on('error', leaveUnread)
switch (command.name) {
  case 'help':
    print(command.command === undefined ? help : helpOf(command.command))
    break
  case 'version':
    print(`upgate ${version}\n`)
    break
  case 'schema':
    print(`${JSON.stringify(jsonSchema(), null, 2)}\n`)
    break
  case 'misuse':
    tell(`${command.problem}\nupgate --help shows what there is.`)
    process.exitCode = 2
    break
  case 'openapi': {
    const { apiDocument } = await import('./admin/operations.ts')
    print(`${JSON.stringify(apiDocument(), null, 2)}\n`)
    break
  }
  case 'call': {
    const { call } = await import('./cli/call.ts')
    process.exitCode = await call(command, terminalOf(process))
    break
  }
  case 'check':
    await check(command)
    break
  case 'run':
    await serve(command.file)
    break
}

async function check({ file, diff }: Extract<Command, { name: 'check' }>): Promise<void> {
  const loaded = load(file)
  if (loaded === undefined) return
  const problems = await authFileProblems(loaded.config)
  if (problems !== undefined) return giveUp(problems)
  print(`${summary(loaded.file, loaded.config)}\n`)
  if (diff === undefined) return
  const { checkDiff } = await import('./cli/check-diff.ts')
  process.exitCode = await checkDiff(loaded.file, diff, terminalOf(process))
}

async function serve(given: string | undefined): Promise<void> {
  // From the first moment on it must not end the process.
  let reload: (() => void) | undefined
  process.on('SIGHUP', () => reload?.())
  const loaded = load(given)
  if (loaded === undefined) return
  // Only here, so that the other commands need not load the whole gateway.
  const { startGateway } = await import('./gateway.ts')
  const start = async (config: Config): Promise<Served> => {
    const gateway = await startGateway(config, {
      load: async (signal) => warned(await loadConfigInThread(loaded.file, process.env, signal)),
    })
    keepHeapSmall(() => gateway.openTunnels)
    return { reload: () => void gateway.reloadFile('signal'), stop: () => gateway.stop() }
  }
  await run(loaded.config, start, {
    onSignal: (handle) => {
      for (const signal of endSignals) process.on(signal, handle)
    },
    onReload: (handle) => {
      reload = handle
    },
    tell,
    exit: (code) => process.exit(code),
  })
}

/** The configuration; or undefined, when everything that is wrong has been told and the exit code is set. */
function load(given: string | undefined): { file: string; config: Config } | undefined {
  const file = chooseConfigFile(given, process.env)
  if (file === undefined) return giveUp(`upgate: ${noConfigFile}`)
  try {
    return { file, config: read(file) }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const count = error.problems.length + error.more
    return giveUp(count === 1 ? error.message : `${error.message}\n${count} problems in ${file}`)
  }
}

/** Throws a `ConfigError` when something is wrong with it. */
function read(file: string): Config {
  return warned(loadConfig(file, process.env))
}

function warned(config: Config): Config {
  for (const warning of config.warnings) process.stderr.write(visibleLines(`warning: ${warning}\n`))
  return config
}

function giveUp(message: string): undefined {
  process.stderr.write(visibleLines(`${message}\n`))
  process.exitCode = 1
}

/** Who reads what is printed may have had enough of it (`| head`): that is no fault. */
function leaveUnread({ code, message }: NodeJS.ErrnoException): void {
  if (code === 'EPIPE') process.exit()
  tell(`standard output cannot be written: ${message}`)
  process.exit(1)
}

function print(text: string): void {
  process.stdout.write(visibleLines(text))
}

function tell(message: string): void {
  process.stderr.write(visibleLines(`upgate: ${message}\n`))
}
