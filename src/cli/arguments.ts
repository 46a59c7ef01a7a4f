/** The command line: from words to a command, or to a sentence about what is wrong with them. */

import { parseArgs } from 'node:util'

import { nearest } from '../config/section.ts'
import { commandNames, commands, options } from './commands.ts'
import type { CommandName, CommandSpec, OptionName } from './commands.ts'

/** A command that asks the admin API. */
export interface CallCommand {
  readonly name: 'call'
  readonly command: CallName
  readonly words: readonly string[]
  readonly values: Values
}

export type Command =
  | { readonly name: 'run'; readonly file: string | undefined }
  /** `diff` has where the gateway is that is asked as well. */
  | { readonly name: 'check'; readonly file: string | undefined; readonly diff: Values | undefined }
  | { readonly name: 'schema' | 'openapi' | 'version' }
  /** Of one command, or of all. */
  | { readonly name: 'help'; readonly command: CommandName | undefined }
  | CallCommand
  | { readonly name: 'misuse'; readonly problem: string }

export type CallName = {
  [Name in CommandName]: (typeof commands)[Name]['calls'] extends true ? Name : never
}[CommandName]

/** Options as they were given. */
export type Values = {
  readonly [Name in OptionName]?: (typeof options)[Name]['type'] extends 'boolean'
    ? boolean
    : string
}

/** `words` is the command line without the program. */
export function parseArguments(words: readonly string[]): Command {
  let parsed
  try {
    parsed = parseArgs({ args: [...words], options, allowPositionals: true })
  } catch (error) {
    return misuse(describe(error, words))
  }
  const { positionals } = parsed
  const values: Values = { ...parsed.values }
  if (values.version === true) return { name: 'version' }
  const [word = 'run', ...rest] = positionals
  if (word === 'version') return { name: word }
  if (word === 'help') return helpOn(rest[0])
  const name = commandNames.find((one) => one === word)
  if (values.help === true)
    return { name: 'help', command: positionals.length > 0 ? name : undefined }
  if (name === undefined) return misuse(unknown(`command "${word}"`, nearest(word, commandNames)))
  const problem = wrongOption(name, values) ?? wrongWords(name, rest, values)
  return problem === undefined ? commandOf(name, rest, values) : misuse(problem)
}

function helpOn(word: string | undefined): Command {
  const name = commandNames.find((one) => one === word)
  return word === undefined || name !== undefined
    ? { name: 'help', command: name }
    : misuse(unknown(`command "${word}"`, nearest(word, commandNames)))
}

function commandOf(name: CommandName, words: readonly string[], values: Values): Command {
  switch (name) {
    case 'run':
      return { name, file: values.config }
    case 'check': {
      const [admin = values.admin] = words
      const diff = { ...values, ...(admin === undefined ? {} : { admin }) }
      return { name, file: values.config, diff: values.diff === true ? diff : undefined }
    }
    case 'schema':
    case 'openapi':
      return { name }
    case 'tunnels':
    case 'upstreams':
    case 'close':
    case 'drain':
    case 'enable':
    case 'rebalance':
    case 'reload':
      return { name: 'call', command: name, words, values }
  }
}

function wrongOption(name: CommandName, values: Values): string | undefined {
  const { options: known }: CommandSpec = commands[name]
  const wrong = (Object.keys(values) as OptionName[]).find((option) => !known.includes(option))
  if (wrong === 'config') return `${name} takes no config file`
  if (wrong !== undefined) return `${name} takes no --${wrong}`
  const calls: readonly OptionName[] = ['admin', 'token-file', 'ca']
  const idle = name === 'check' && values.diff !== true && calls.find((one) => one in values)
  return typeof idle === 'string' ? `--${idle} is for check --diff` : undefined
}

function wrongWords(
  name: CommandName,
  words: readonly string[],
  values: Values,
): string | undefined {
  const { usage, words: wanted }: CommandSpec = commands[name]
  const [min, max] = name === 'check' && values.diff !== true ? [0, 0] : wanted
  const extra = words[max]
  if (words.length < min) return `${name} needs more words: upgate ${usage}`
  if (extra === undefined) return undefined
  return max === 0 && (name === 'run' || name === 'check')
    ? `"${extra}" is too much after ${name}; a config file is given with -c ${extra}`
    : `"${extra}" is too much after ${[name, ...words.slice(0, max)].join(' ')}`
}

function misuse(problem: string): Command {
  return { name: 'misuse', problem }
}

function describe(error: unknown, words: readonly string[]): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
    const needs = /'(?:-\w, )?--([\w-]+) <value>' argument missing/.exec(message)?.[1]
    return code === 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE' && needs !== undefined
      ? `${needs === 'config' ? '-c needs the config file' : `--${needs} needs its value`} after it`
      : message
  }
  const option = /'(-[^']*)'/.exec(message)?.[1] ?? words.join(' ')
  const known = Object.keys(options).map((name) => `--${name}`)
  return unknown(`option ${option}`, option.startsWith('--') ? nearest(option, known) : undefined)
}

function unknown(what: string, meant: string | undefined): string {
  return meant === undefined ? `there is no ${what}` : `there is no ${what}, did you mean ${meant}?`
}
