/** A headless Chromium, driven by the DevTools protocol over a pipe. */

import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { RunningProgram } from './programs.ts'

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--ignore-certificate-errors',
  '--remote-debugging-pipe',
]

/** For one command, and for its end: a browser that does not answer must not hold up a whole run. */
const ANSWER_MS = 30_000
const CLOSE_MS = 5000

type Params = Readonly<Record<string, unknown>>

interface Message {
  readonly id?: number
  readonly sessionId?: string
  readonly method?: string
  readonly params?: Params
  readonly result?: Params
  readonly error?: { readonly message: string }
}

export class Chromium implements AsyncDisposable {
  readonly #program: RunningProgram
  readonly #folder: string
  readonly #input: Writable
  readonly #waiting = new Map<number, PromiseWithResolvers<Params>>()
  readonly #pages = new Map<string, Page>()
  #lastId = 0

  /** Starts it with a fresh profile. */
  static async start(path: string): Promise<Chromium> {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-chromium-'))
    return new Chromium(path, folder)
  }

  private constructor(path: string, folder: string) {
    this.#folder = folder
    this.#program = new RunningProgram(path, [...FLAGS, `--user-data-dir=${folder}`], {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
      // What it keeps beside its profile goes there as well.
      env: { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder, XDG_CACHE_HOME: folder },
    })
    this.#input = this.#program.child.stdio[3] as Writable
    this.#input.on('error', () => {})
    this.#read(this.#program.child.stdio[4] as Readable)
    void this.#program.exited.then(({ stderr }) => {
      for (const { reject } of this.#waiting.values())
        reject(new Error(`chromium ended: ${stderr}`))
    })
  }

  /** A new empty page. */
  async page(): Promise<Page> {
    const { targetId } = await this.call('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await this.call('Target.attachToTarget', { targetId, flatten: true })
    const page = new Page(this, sessionId as string)
    this.#pages.set(sessionId as string, page)
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page.call(`${domain}.enable`)
    return page
  }

  /** One command; rejects with what the browser complains of. */
  call(method: string, params: Params = {}, sessionId?: string): Promise<Params> {
    this.#lastId += 1
    const waiting = Promise.withResolvers<Params>()
    this.#waiting.set(this.#lastId, waiting)
    this.#input.write(`${JSON.stringify({ id: this.#lastId, method, params, sessionId })}\0`)
    const late = new Error(`chromium has not answered ${method} within ${ANSWER_MS} ms`)
    const timer = setTimeout(waiting.reject, ANSWER_MS, late)
    return waiting.promise.finally(() => clearTimeout(timer))
  }

  #read(output: Readable): void {
    let unread = ''
    output.setEncoding('utf8').on('data', (text: string) => {
      const messages = (unread + text).split('\0')
      unread = messages.pop() ?? ''
      for (const message of messages) this.#receive(JSON.parse(message) as Message)
    })
  }

  #receive({ id, sessionId, method, params, result, error }: Message): void {
    if (id === undefined) {
      if (method !== undefined) this.#pages.get(sessionId ?? '')?.receive(method, params ?? {})
      return
    }
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.resolve(result ?? {})
    else waiting?.reject(new Error(error.message))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { child } = this.#program
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      this.call('Browser.close').catch(() => {})
      const killer = setTimeout(() => child.kill('SIGKILL'), CLOSE_MS)
      await once(child, 'exit')
      clearTimeout(killer)
    }
    await this.#program[Symbol.asyncDispose]()
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

export class Page {
  readonly #browser: Chromium
  readonly #sessionId: string
  readonly #loads: (() => void)[] = []
  /** Exceptions, and what the browser complains of: refused connections, broken content policies. */
  readonly complaints: string[] = []
  /** Statuses of the answers to its WebSockets: 101 by HTTP/1.1, 200 by HTTP/2 (RFC 8441). */
  readonly webSockets: number[] = []

  constructor(browser: Chromium, sessionId: string) {
    this.#browser = browser
    this.#sessionId = sessionId
  }

  call(method: string, params: Params = {}): Promise<Params> {
    return this.#browser.call(method, params, this.#sessionId)
  }

  /** Loads a page, with everything that belongs to it. */
  async load(url: string): Promise<void> {
    const loaded = new Promise<void>((resolve) => this.#loads.push(resolve))
    const { errorText } = await this.call('Page.navigate', { url })
    if (typeof errorText === 'string') throw new Error(`${url}: ${errorText}`)
    await loaded
  }

  /** The value of an expression in the page; a promise is awaited. Rejects with what it throws. */
  async evaluate(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = await this.call('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails))
    return (result as { readonly value?: unknown }).value
  }

  /** Waits until a condition of the page's document holds; it is looked at whenever the document changes. */
  async until(condition: string): Promise<void> {
    await this.evaluate(`new Promise((resolve) => {
      const look = () => {
        if (!(${condition})) return
        observer.disconnect()
        resolve()
      }
      const observer = new MutationObserver(look)
      observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true })
      look()
    })`)
  }

  /** Types into whatever has the focus, and presses Enter. */
  async type(text: string): Promise<void> {
    await this.call('Input.insertText', { text })
    const key = { key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13, text: '\r' }
    await this.call('Input.dispatchKeyEvent', { type: 'keyDown', ...key })
    await this.call('Input.dispatchKeyEvent', { type: 'keyUp', ...key })
  }

  receive(method: string, params: Params): void {
    if (method === 'Page.loadEventFired') for (const resolve of this.#loads.splice(0)) resolve()
    if (method === 'Network.webSocketHandshakeResponseReceived') {
      this.webSockets.push((params['response'] as { readonly status: number }).status)
    }
    if (method === 'Runtime.exceptionThrown') this.complaints.push(JSON.stringify(params))
    if (method === 'Log.entryAdded') this.complaints.push(JSON.stringify(params))
  }
}
