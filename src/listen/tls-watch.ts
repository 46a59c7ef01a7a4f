/**
 * Keeps the certificates of listeners as their files have them, and tells in time when they expire. New ones are shown to
 * new connections; nobody who is connected notices.
 */

import { FileWatch } from '../reload/file-watch.ts'
import type { Report } from '../report/report.ts'
import type { CertificateLine } from '../report/reported.ts'
import type { Listener } from './listener.ts'
import type { LoadedCertificate } from './tls-certificate.ts'
import { filesOf } from './tls-material.ts'
import { urlOf } from './url.ts'

/** What it tells; `Report` is one. */
export type CertificateReport = Pick<
  Report,
  'fileReloaded' | 'certificateReloaded' | 'certificateNotReloaded' | 'certificateExpires'
>

export interface CertificateWatchOptions {
  readonly listeners: () => readonly Listener[]
  readonly report: CertificateReport
  /** How often the files are looked at; 1 s unless given. */
  readonly intervalMs?: number
}

/** What files are for that are no certificates of the listener itself. */
const CLIENTS = 'certificates of clients'

const HOUR_MS = 60 * 60 * 1000
const DAY_MS = 24 * HOUR_MS
const EXPIRES_SOON_MS = 21 * DAY_MS

export class CertificateWatch {
  readonly #options: CertificateWatchOptions
  readonly #files: FileWatch
  readonly #timer: NodeJS.Timeout
  /** When something was told within the last day: a reload reads the same certificates again. */
  readonly #told = new Map<string, number>()

  constructor(options: CertificateWatchOptions) {
    this.#options = options
    this.#files = new FileWatch({ onChange: () => this.#renew(), intervalMs: options.intervalMs })
    // Some certificates live for a day.
    this.#timer = setInterval(() => this.#tellExpiry(), HOUR_MS).unref()
  }

  /** From now on it looks at the files of the present listeners. What has changed in them since they were read is seen. */
  async follow(): Promise<void> {
    this.#tellExpiry()
    const files = this.#options
      .listeners()
      .flatMap(({ config: { tls } }) => (tls === undefined ? [] : filesOf(tls)))
    await this.#files.follow([...new Set(files)])
    this.#renew()
  }

  /** Looks at the files now; it does so by itself at each interval. Fulfilled when it has. */
  look(): Promise<void> {
    return this.#files.look()
  }

  /** Ends the watch. */
  close(): void {
    this.#files.close()
    clearInterval(this.#timer)
  }

  #renew(): void {
    const { listeners, report } = this.#options
    for (const listener of listeners()) {
      const { renewed, renewedFiles, failed } = listener.tls.renew()
      for (const certificate of renewed) report.certificateReloaded(lineOf(listener, certificate))
      for (const file of renewedFiles) report.fileReloaded({ file, what: CLIENTS })
      for (const { file, cause } of failed) {
        report.certificateNotReloaded({ url: placeOf(listener), file, cause })
      }
    }
    this.#tellExpiry()
  }

  #tellExpiry(): void {
    const now = Date.now()
    for (const [id, at] of this.#told) if (now - at >= DAY_MS) this.#told.delete(id)
    for (const listener of this.#options.listeners()) {
      for (const certificate of listener.tls.certificates) {
        const leftMs = certificate.expiresAtMs - now
        if (leftMs > soonMs(certificate)) continue
        const line = lineOf(listener, certificate)
        const id = JSON.stringify(line)
        if (this.#told.has(id)) continue
        this.#told.set(id, now)
        this.#options.report.certificateExpires(line, leftMs < 0)
      }
    }
  }
}

/** By the last third of its life a certificate should have been renewed, however short that is. */
function soonMs({ startsAtMs, expiresAtMs }: LoadedCertificate): number {
  return Math.min(EXPIRES_SOON_MS, (expiresAtMs - startsAtMs) / 3)
}

function lineOf(listener: Listener, certificate: LoadedCertificate): CertificateLine {
  return {
    url: placeOf(listener),
    certificate: certificate.title,
    file: certificate.files.cert,
    expires: new Date(certificate.expiresAtMs).toISOString(),
  }
}

function placeOf({ address, config }: Listener): string {
  return urlOf(address, config.tls)
}
