import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { describe, it } from 'node:test'
import { Guard } from '../../src/admin/guard.ts'
import type { Answer } from '../../src/admin/problem.ts'
import type { AdminConfig } from '../../src/config/config.ts'
import { LOOPBACK } from './fake-api.ts'

const TOKEN = 'a-token-of-some-length'

interface Asked {
  readonly host?: string
  readonly from?: string | undefined
  readonly fields?: Readonly<Record<string, string>>
}

function request({ host = '127.0.0.1:9090', from = '127.0.0.1', fields = {} }: Asked) {
  return {
    headers: { host, ...fields },
    socket: { remoteAddress: from },
  } as unknown as IncomingMessage
}

function refusal(asked: Asked, config: Partial<AdminConfig> = {}): Answer | undefined {
  return new Guard({ ...LOOPBACK, ...config }).refuseCall(request(asked))
}

function detail(answer: Answer | undefined): string {
  assert.ok(answer !== undefined)
  return (answer.body as { detail: string }).detail
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

describe('Guard without a token', () => {
  for (const from of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']) {
    it(`lets ${from} call`, () => assert.equal(refusal({ from }), undefined))
  }

  for (const from of ['192.0.2.7', '10.0.0.1', '::ffff:10.0.0.1', '2001:db8::1', undefined]) {
    it(`refuses ${from ?? 'a connection that is closed already'}, and says what to do`, () => {
      const guard = new Guard(LOOPBACK)
      const answer = guard.refuseCall({
        headers: { host: 'localhost' },
        socket: { remoteAddress: from },
      } as unknown as IncomingMessage)
      assert.equal(answer?.status, 403)
      assert.match(detail(answer), /Set admin\.token/)
    })
  }

  it('lets every peer of a unix socket call, whatever its Host is', () => {
    const address = { kind: 'unix', path: '/run/admin.sock' } as const
    assert.equal(refusal({ from: '', host: 'docker' }, { address }), undefined)
  })

  for (const field of ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip']) {
    it(`refuses what came through a proxy, by ${field}`, () => {
      const answer = refusal({ fields: { [field]: '192.0.2.7' } })
      assert.equal(answer?.status, 403)
      assert.match(detail(answer), /not through a proxy/)
    })
  }

  it('leaves pages open', () => {
    assert.equal(new Guard(LOOPBACK).refusePage(request({ from: '192.0.2.7' })), undefined)
  })
})

describe('Guard with a token', () => {
  const config = { token: TOKEN }

  it('lets whoever has it call, from anywhere and through proxies', () => {
    const fields = { ...bearer(TOKEN), via: '1.1 proxy' }
    assert.equal(refusal({ from: '192.0.2.7', fields }, config), undefined)
  })

  it('knows the scheme in any case', () => {
    assert.equal(refusal({ fields: { authorization: `bEARER  ${TOKEN}` } }, config), undefined)
  })

  it('asks for it, on loopback too', () => {
    const answer = refusal({}, config)
    assert.equal(answer?.status, 401)
    assert.equal(answer.headers?.['WWW-Authenticate'], 'Bearer realm="upgate admin"')
  })

  for (const [name, authorization] of [
    ['another one', `Bearer ${TOKEN}x`],
    ['a part of it', `Bearer ${TOKEN.slice(0, -1)}`],
    ['it in another case', `Bearer ${TOKEN.toUpperCase()}`],
  ] as const) {
    it(`refuses ${name}`, () => {
      const answer = refusal({ fields: { authorization } }, config)
      assert.equal(answer?.status, 401)
      assert.match(answer.headers?.['WWW-Authenticate'] ?? '', /error="invalid_token"/)
      assert.ok(!JSON.stringify(answer.body).includes(TOKEN))
    })
  }

  for (const authorization of [TOKEN, `Basic ${TOKEN}`, 'Bearer', '']) {
    it(`takes "${authorization}" for no token`, () => {
      assert.equal(refusal({ fields: { authorization } }, config)?.status, 401)
    })
  }

  it('asks for it on pages as well', () => {
    const guard = new Guard({ ...LOOPBACK, ...config })
    assert.equal(guard.refusePage(request({}))?.status, 401)
    assert.equal(guard.refusePage(request({ fields: bearer(TOKEN) })), undefined)
  })

  it('asks for it on a unix socket as well', () => {
    const address = { kind: 'unix', path: '/run/admin.sock' } as const
    assert.equal(refusal({}, { ...config, address })?.status, 401)
  })
})

describe('Guard of names', () => {
  for (const host of [
    '127.0.0.1:9090',
    '10.0.0.7',
    '[::1]:9090',
    '[2001:db8::1]',
    'localhost',
    'LOCALHOST:9090',
    'localhost.',
    'upgate.localhost:9090',
    'ops.example.com:9090',
    'OPS.example.com',
  ]) {
    it(`answers to ${host}`, () => {
      const hosts = ['ops.example.com']
      assert.equal(refusal({ host }, { hosts }), undefined)
      assert.equal(new Guard({ ...LOOPBACK, hosts }).refusePage(request({ host })), undefined)
    })
  }

  for (const host of [
    'evil.example',
    'notlocalhost',
    'localhost.evil.example',
    '127.0.0.1.evil.example:9090',
    'ops.example.com.evil.example',
    'sub.ops.example.com',
    'localhost@evil.example',
    'localhost:9090:1',
    '::1',
    '',
  ]) {
    it(`does not answer to "${host}", with or without a token`, () => {
      const hosts = ['ops.example.com']
      assert.equal(refusal({ host }, { hosts })?.status, 421)
      assert.equal(new Guard({ ...LOOPBACK, hosts }).refusePage(request({ host }))?.status, 421)
      assert.equal(refusal({ host, fields: bearer(TOKEN) }, { hosts, token: TOKEN })?.status, 421)
    })
  }
})

describe('Guard of origins', () => {
  for (const [host, origin] of [
    ['127.0.0.1:9090', 'http://127.0.0.1:9090'],
    ['localhost:9090', 'https://LOCALHOST:9090'],
    ['localhost', 'https://localhost'],
    ['localhost:443', 'https://localhost'],
  ] as const) {
    it(`lets pages of ${origin} call ${host}`, () => {
      assert.equal(refusal({ host, fields: { origin } }), undefined)
    })
  }

  for (const origin of [
    'http://evil.example',
    'http://localhost:9091',
    'http://localhost',
    'http://localhost.evil.example:9090',
    'null',
    '',
    'localhost:9090',
  ]) {
    it(`refuses those of "${origin}"`, () => {
      const answer = refusal({ host: 'localhost:9090', fields: { origin } })
      assert.equal(answer?.status, 403)
    })
  }

  for (const site of ['cross-site', 'same-site']) {
    it(`refuses what a browser calls ${site}`, () => {
      assert.equal(refusal({ fields: { 'sec-fetch-site': site } })?.status, 403)
    })
  }

  for (const site of ['same-origin', 'none']) {
    it(`lets what a browser calls ${site} call`, () => {
      assert.equal(refusal({ fields: { 'sec-fetch-site': site } }), undefined)
    })
  }
})
