/**
 * Which relay the tests use: UPGATE_TEST_RELAY says `native` or `portable`; else it is the native one where it is built.
 * Where CI is set it is never the portable one by default, so that a relay that is not built does not go unnoticed.
 *
 *     node test/support/test-relay.ts     says which one it is; fails when that one is not there
 */

import { parseDocument } from 'yaml'
import { loadBinding } from '../../src/relay/binding.ts'
import { isCi } from './programs.ts'

export type TestRelay = 'native' | 'portable'

/** Why there is no native relay. */
export const nativeMissing: string | undefined = missing(loadBinding())

export const testRelay: TestRelay = chosen(process.env['UPGATE_TEST_RELAY'])

/** For the options of a test that is about the native relay. */
export const withNative: { readonly skip: string | false } = {
  skip:
    nativeMissing === undefined || isCi() ? false : `there is no native relay: ${nativeMissing}`,
}

/** A config as text, with the relay of the tests where it names none, and with `defaults` for the keys that it leaves out. */
export function withTestRelay(yaml: string, defaults: Readonly<Record<string, unknown>>): string {
  const document = parseDocument(yaml)
  const [problem] = document.errors
  if (problem !== undefined) throw problem
  for (const [key, value] of Object.entries(defaults)) {
    if (!document.has(key)) document.set(key, document.createNode(value))
  }
  if (!document.hasIn(['relay', 'engine'])) document.setIn(['relay', 'engine'], testRelay)
  return document.toString({ lineWidth: 0 })
}

function missing(binding: ReturnType<typeof loadBinding>): string | undefined {
  return 'missing' in binding ? binding.missing : undefined
}

function chosen(wanted: string | undefined): TestRelay {
  if (wanted === 'native' || wanted === 'portable') return wanted
  if (wanted !== undefined && wanted !== '') {
    throw new Error(`UPGATE_TEST_RELAY is native or portable, and not ${wanted}`)
  }
  return nativeMissing === undefined || isCi() ? 'native' : 'portable'
}

function tell(): void {
  if (testRelay === 'portable') {
    const why = nativeMissing ?? 'UPGATE_TEST_RELAY says so'
    console.log(`relay of the tests: portable. The native one is NOT tested: ${why}`)
  } else if (nativeMissing === undefined) {
    console.log('relay of the tests: native (build/relay.node), and the portable one after it')
  } else {
    console.error(`relay of the tests: native, but it is not there: ${nativeMissing}`)
    process.exitCode = 1
  }
}

if (import.meta.main) tell()
