/** Answers a request with text, as a route would. */

import type { Client } from '../../src/http1/client.ts'

/** Reads the request's body first. */
export async function sendText(client: Client, textOf: (body: string) => string): Promise<void> {
  const body = await bodyOf(client)
  if (client.gone) {
    client.finish()
    return
  }
  const text = Buffer.from(textOf(body))
  const fields = ['Content-Length', String(text.length)]
  const writer = client.respond({ status: 200, reason: 'OK', fields, framing: 'length' })
  writer.write(text)
  writer.end()
  client.finish()
}

/** All of the request's body; what came of it when the client leaves before, or its framing is broken. */
export function bodyOf(client: Client): Promise<string> {
  if (client.bodyDone) return Promise.resolve('')
  return new Promise((resolve) => {
    let body = ''
    client.onGone = () => resolve(body)
    client.readBody({
      onContent: (content) => {
        body += content.toString('latin1')
      },
      onBodyEnd: () => resolve(body),
      onBodyBroken: () => resolve(body),
    })
  })
}
