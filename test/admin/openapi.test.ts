import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { openApi } from '../../src/admin/openapi.ts'
import type { Method, Operation } from '../../src/admin/operation.ts'
import { apiDocument, operations } from '../../src/admin/operations.ts'
import { apiPaths } from '../support/openapi-answers.ts'
import { fakeAdmin } from './fake-api.ts'

interface Parameter {
  readonly name: string
  readonly in: string
  readonly description: string
  readonly schema: object
}

interface Described {
  readonly operationId: string
  readonly summary: string
  readonly parameters: readonly Parameter[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> }
}

const described = Object.entries(apiPaths()).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    path,
    method: method.toUpperCase() as Method,
    operation: operation as unknown as Described,
  })),
)

describe('the OpenAPI document', () => {
  it('is the one in config/ (upgate openapi prints it)', () => {
    const file = new URL('../../config/openapi.json', import.meta.url)
    const committed: unknown = JSON.parse(readFileSync(file, 'utf8'))
    assert.deepEqual(committed, JSON.parse(JSON.stringify(apiDocument())))
  })

  it('is served', async () => {
    await using admin = await fakeAdmin()
    const { status, body } = await admin.call('GET', '/api/openapi.json')
    assert.equal(status, 200)
    assert.deepEqual(body, JSON.parse(JSON.stringify(apiDocument())))
  })

  it('has every operation of the router, and no other', () => {
    assert.deepEqual(
      described.map(({ method, path }) => `${method} ${path}`).toSorted(),
      operations.map(({ method, path }) => `${method} ${path}`).toSorted(),
    )
  })

  for (const { method, path } of described) {
    it(`describes what the server knows: ${method} ${path}`, async () => {
      await using admin = await fakeAdmin()
      admin.gateway.reload = () => Promise.reject(new Error('not now'))
      const answer = await admin.call(method, path.replace(/\{\w+\}/, 'nobody'))
      assert.ok(answer.status !== 405, String(answer.status))
      if (!path.includes('{')) assert.notEqual(answer.status, 404)
    })
  }

  for (const path of Object.keys(apiPaths())) {
    it(`leaves no method of ${path} out`, async () => {
      await using admin = await fakeAdmin()
      const known = Object.keys(apiPaths()[path] ?? {}).map((method) => method.toUpperCase())
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        if (known.includes(method)) continue
        const answer = await admin.call(method, path.replace(/\{\w+\}/, 'nobody'))
        assert.equal(answer.status, 405, method)
        const allowed = answer.headers.allow?.split(', ').filter((one) => one !== 'HEAD')
        assert.deepEqual(allowed?.toSorted(), known.toSorted())
      }
    })
  }

  it('says of every operation and parameter what it is', () => {
    for (const { operation, path } of described) {
      assert.match(operation.summary, /^[A-Z].*[^.]$/, path)
      for (const { name, description } of operation.parameters) {
        assert.match(description ?? '', /\.$/, `${path} ${name}`)
      }
    }
  })

  it('has a parameter for every part of a path that is left open', () => {
    for (const { operation, path } of described) {
      const open = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      const named = operation.parameters.filter((one) => one.in === 'path').map(({ name }) => name)
      assert.deepEqual(named, open)
    }
  })

  it('has schemas that are valid', () => {
    const ajv = new Ajv2020({ validateFormats: false })
    for (const { operation } of described) {
      for (const { schema } of operation.parameters) ajv.compile(schema)
      const body = operation.requestBody?.content['application/json']?.schema
      if (body !== undefined) ajv.compile(body)
    }
  })

  it('refuses operations that are there twice', () => {
    const [first] = operations as [Operation]
    assert.throws(() => openApi([first, first]), /index is there twice/)
    assert.throws(() => openApi([first, { ...first, path: '/api/other' }]), /there twice/)
  })
})
