/** The page of `builtin:echo`: the request as it arrived, and a WebSocket client to try. It loads nothing from elsewhere. */

/** What arrived. Its JSON form is what clients other than browsers get. */
export interface SeenRequest {
  readonly method: string
  readonly target: string
  readonly httpVersion: string
  /** Name and value as received, in order. */
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly body: SeenBody
  /** The peer of the connection: the gateway. */
  readonly remoteAddress: string | undefined
}

export interface SeenBody {
  /** Its whole size. */
  readonly bytes: number
  /** Whether less than the whole is shown. */
  readonly isTruncated: boolean
  /** What is shown, when it is UTF-8. */
  readonly text?: string
  /** What is shown, when it is not. */
  readonly base64?: string
}

/** The whole page. Everything out of the request is escaped; `nonce` admits the page's own style and script. */
export function echoPage(seen: SeenRequest, nonce: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>upgate echo</title>
<link rel="icon" href="data:,">
<style nonce="${nonce}">${style}</style>
</head>
<body>
<header>
<h1>upgate <span>echo</span></h1>
<p>This is what an upstream behind the gateway sees, and a WebSocket that sends everything back.</p>
</header>
<main>
${clientSection}
${requestSection(seen)}
</main>
<script nonce="${nonce}">${script}</script>
</body>
</html>
`
}

const clientSection = `<section aria-labelledby="try">
<h2 id="try">WebSocket</h2>
<form id="connect">
<label class="wide">URL <input id="url" name="url" spellcheck="false" autocomplete="off" required></label>
<label>Subprotocols <input id="protocols" name="protocols" placeholder="chat, json" spellcheck="false" autocomplete="off"></label>
<button id="toggle">Connect</button>
<output id="state" data-state="closed">closed</output>
</form>
<ol id="log" role="log" aria-label="Messages" tabindex="0"></ol>
<form id="compose">
<label class="wide">Message <input id="message" name="message" autocomplete="off" disabled></label>
<button id="send" disabled>Send</button>
</form>
</section>`

function requestSection(seen: SeenRequest): string {
  const line = `${seen.method} ${seen.target} HTTP/${seen.httpVersion}`
  const rows = seen.fields
    .map(
      ([name, value]) =>
        `<tr><th scope="row">${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`,
    )
    .join('\n')
  return `<section aria-labelledby="request">
<h2 id="request">Request</h2>
<p class="line"><code>${escapeHtml(line)}</code></p>
<table><caption>Header fields, as they came</caption>
${rows}
</table>
<p class="note">From ${escapeHtml(seen.remoteAddress ?? 'an unknown address')}, with a body of ${seen.body.bytes} bytes.</p>
${bodyBlock(seen.body)}
</section>`
}

function bodyBlock(body: SeenBody): string {
  if (body.bytes === 0) return ''
  const shown = body.text ?? body.base64 ?? ''
  const isText = body.text !== undefined
  const note = `${isText ? 'UTF-8' : 'base64'}${body.isTruncated ? ', only the beginning' : ''}`
  return `<p class="note">Body (${note})</p><pre>${escapeHtml(shown)}</pre>`
}

/** For element content and for attributes in either kind of quotes. */
function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

const style = `
:root { color-scheme: light dark; --ink: light-dark(#1c2430, #e4e9f0); --soft: light-dark(#5c6878, #97a3b4);
  --back: light-dark(#f4f6f9, #12161d); --card: light-dark(#fff, #1a202a); --line: light-dark(#dde3ea, #2b3442);
  --brand: light-dark(#0b63ce, #6cb0ff); --good: light-dark(#147a3d, #5fd38d); --bad: light-dark(#b3261e, #ff8a80); }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
header, main { max-width: 60rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 2rem; }
h1 { margin: 0; font-size: 1.6rem; letter-spacing: -0.02em; }
h1 span { color: var(--brand); }
h2 { margin: 0 0 0.75rem; font-size: 1.1rem; }
header p, .note, caption { color: var(--soft); }
header p { margin: 0.25rem 0 1.5rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.25rem; margin-bottom: 1.25rem; }
form { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: end; }
label { display: grid; gap: 0.25rem; font-size: 0.85rem; color: var(--soft); }
label.wide { flex: 1 1 16rem; }
input, button { font: inherit; color: var(--ink); border: 1px solid var(--line); border-radius: 8px; padding: 0.45rem 0.7rem; }
input { background: var(--back); width: 100%; }
button { background: var(--brand); border-color: var(--brand); color: light-dark(#fff, #0d1117); font-weight: 600; cursor: pointer; }
button:disabled, input:disabled { opacity: 0.5; cursor: not-allowed; }
:focus-visible { outline: 2px solid var(--brand); outline-offset: 2px; }
output { padding: 0.45rem 0; font-weight: 600; min-width: 6.5rem; color: var(--soft); }
output[data-state="open"] { color: var(--good); }
#log { list-style: none; margin: 1rem 0; padding: 0.75rem; height: 15rem; overflow: auto; background: var(--back);
  border: 1px solid var(--line); border-radius: 8px; font: 0.85rem/1.6 ui-monospace, monospace; }
#log li { white-space: pre-wrap; overflow-wrap: anywhere; }
#log li::before { content: attr(data-time) "  "; color: var(--soft); }
#log li[data-kind="sent"] { color: var(--brand); }
#log li[data-kind="received"] { color: var(--good); }
#log li[data-kind="failed"] { color: var(--bad); }
table { border-collapse: collapse; width: 100%; table-layout: fixed; font: 0.85rem/1.5 ui-monospace, monospace; }
caption { text-align: left; font: 0.85rem system-ui, sans-serif; padding-bottom: 0.4rem; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 0.75rem 0.35rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
th { width: 34%; font-weight: 600; }
.line { margin-top: 0; }
code, pre { font: 0.9rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
pre { background: var(--back); border: 1px solid var(--line); border-radius: 8px; padding: 0.75rem; margin: 0; max-height: 20rem; overflow: auto; }
`

/** Runs in the browser. Messages go into the page as text, never as markup. */
const script = `
'use strict'
const byId = (id) => document.getElementById(id)
const [url, protocols, toggle, state, log, message, send] =
  ['url', 'protocols', 'toggle', 'state', 'log', 'message', 'send'].map(byId)
const linesMax = 500
let socket

url.value = location.href.replace(/^http/, 'ws').replace(/#.*/, '')

function add(kind, text) {
  const line = document.createElement('li')
  line.dataset.kind = kind
  line.dataset.time = new Date().toTimeString().slice(0, 8)
  line.textContent = text
  log.append(line)
  if (log.childElementCount > linesMax) log.firstElementChild.remove()
  log.scrollTop = log.scrollHeight
}

function show(name) {
  state.value = name
  state.dataset.state = name
  const isOpen = name === 'open'
  message.disabled = send.disabled = !isOpen
  toggle.textContent = name === 'closed' ? 'Connect' : 'Close'
  if (isOpen) message.focus()
}

function connect() {
  const offered = protocols.value.split(',').map((item) => item.trim()).filter(Boolean)
  try {
    socket = new WebSocket(url.value, offered)
  } catch (error) {
    add('failed', error.message)
    return
  }
  socket.binaryType = 'arraybuffer'
  show('connecting')
  socket.onopen = () => {
    show('open')
    const chosen = [socket.protocol && 'subprotocol ' + socket.protocol, socket.extensions].filter(Boolean)
    add('note', 'open' + (chosen.length > 0 ? ' (' + chosen.join(', ') + ')' : ''))
  }
  socket.onmessage = ({ data }) =>
    add('received', '\\u2193 ' + (typeof data === 'string' ? data : data.byteLength + ' bytes'))
  socket.onerror = () => add('failed', 'the connection failed')
  socket.onclose = ({ code, reason }) => {
    add('note', 'closed ' + code + (reason ? ' ' + reason : ''))
    socket = undefined
    show('closed')
  }
}

byId('connect').onsubmit = (event) => {
  event.preventDefault()
  if (socket === undefined) connect()
  else socket.close(1000)
}
byId('compose').onsubmit = (event) => {
  event.preventDefault()
  socket.send(message.value)
  add('sent', '\\u2191 ' + message.value)
  message.value = ''
}
`
