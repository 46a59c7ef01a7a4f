/** Reads facts the way the gateway does, out of as little as a test has to say. */

import assert from 'node:assert/strict'
import { Refusal, type Code } from '../../src/errors.ts'
import type { ForwardedConfig } from '../../src/config/config.ts'
import { addressSet } from '../../src/request/address-set.ts'
import { readFacts, type RequestFacts } from '../../src/request/facts.ts'

export interface SampleRequest {
  readonly method?: string
  readonly target?: string
  readonly httpVersion?: '1.0' | '1.1'
  /** `Name: value` lines, after `Host: example.com` unless they have a Host or `host` is false. */
  readonly lines?: readonly string[]
  readonly host?: false
  readonly peer?: string
  readonly encrypted?: boolean
  readonly localPort?: number | undefined
  readonly trusted?: readonly string[]
  readonly forwarded?: ForwardedConfig
  readonly http2?: true
  readonly pseudonym?: string
}

/** The raw fields of `Name: value` lines. */
export function fieldsOf(lines: readonly string[]): string[] {
  return lines.flatMap((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
}

/** `Name: value` lines of raw fields. */
export function linesOf(fields: readonly string[]): string[] {
  const lines: string[] = []
  for (let index = 0; index < fields.length; index += 2) {
    lines.push(`${fields[index]}: ${fields[index + 1]}`)
  }
  return lines
}

export function read(sample: SampleRequest = {}): RequestFacts | Refusal {
  const { lines = [] } = sample
  const hasHost = sample.host === false || lines.some((line) => /^host:/i.test(line))
  return readFacts(
    {
      method: sample.method ?? 'GET',
      target: sample.target ?? '/',
      httpVersion: sample.httpVersion ?? '1.1',
      fields: fieldsOf(hasHost ? lines : ['Host: example.com', ...lines]),
    },
    {
      peerAddress: sample.peer ?? '203.0.113.9',
      encrypted: sample.encrypted ?? false,
      localPort: 'localPort' in sample ? sample.localPort : 8080,
      ...(sample.http2 && { http2: { connects: false } }),
    },
    {
      trusted: addressSet(sample.trusted ?? []),
      forwarded: sample.forwarded,
      pseudonym: sample.pseudonym,
    },
  )
}

export function factsOf(sample: SampleRequest = {}): RequestFacts {
  const facts = read(sample)
  assert.ok(!(facts instanceof Refusal), facts instanceof Refusal ? facts.details.cause : '')
  return facts
}

export function codeOf(outcome: unknown): Code | undefined {
  return outcome instanceof Refusal ? outcome.code : undefined
}
