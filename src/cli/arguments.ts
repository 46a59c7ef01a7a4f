/** The command line: from words to a command, or to a sentence about what is wrong with them. */

import { parseArgs } from 'node:util'

import { nearest } from '../config/section.ts'

export type Command =
  | { readonly name: 'run' | 'check'; readonly file: string | undefined }
  | { readonly name: 'schema' | 'help' | 'version' }
  | { readonly name: 'misuse'; readonly problem: string }

const commands = ['run', 'check', 'schema'] as const

const options = {
  config: { type: 'string', short: 'c' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const

/** `words` is the command line without the program. */
export function parseArguments(words: readonly string[]): Command {
  let parsed
  try {
    parsed = parseArgs({ args: [...words], options, allowPositionals: true })
  } catch (error) {
    return misuse(describe(error, words))
  }
  const { values, positionals } = parsed
  if (values.help === true) return { name: 'help' }
  if (values.version === true) return { name: 'version' }
  const [word = 'run', extra] = positionals
  if (word === 'help' || word === 'version') return { name: word }
  const name = commands.find((command) => command === word)
  if (name === undefined) return misuse(unknown(`command "${word}"`, nearest(word, commands)))
  if (extra !== undefined) {
    return misuse(`"${extra}" is too much after ${name}; a config file is given with -c ${extra}`)
  }
  if (name !== 'schema') return { name, file: values.config }
  return values.config === undefined ? { name } : misuse('schema takes no config file')
}

function misuse(problem: string): Command {
  return { name: 'misuse', problem }
}

function describe(error: unknown, words: readonly string[]): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
    return code === 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE' && message.includes('--config')
      ? '-c needs the config file after it'
      : message
  }
  const option = /'(-[^']*)'/.exec(message)?.[1] ?? words.join(' ')
  const known = Object.keys(options).map((name) => `--${name}`)
  return unknown(`option ${option}`, option.startsWith('--') ? nearest(option, known) : undefined)
}

function unknown(what: string, meant: string | undefined): string {
  return meant === undefined ? `there is no ${what}` : `there is no ${what}, did you mean ${meant}?`
}
