/** TLS to the endpoints of one upstream: what its files hold, and the context made of it that their connections share. */

import { createSecureContext, type SecureContext } from 'node:tls'
import type { UpstreamTlsConfig } from '../config/config.ts'
import { certificatesIn } from '../config/pem.ts'
import { readRegularFile } from '../config/read-file.ts'
import { sameConfig } from '../config/same.ts'
import type { EndpointTls } from './endpoint.ts'
import { TlsSessions } from './tls-sessions.ts'

/** As in the config, with the text of the files in place of their paths. */
export interface TlsSettings extends Omit<UpstreamTlsConfig, 'serverName'> {
  /** PEM. Only it is trusted; Node's authorities when undefined. */
  readonly ca: string | undefined
  /** PEM, with `key`: what the endpoint is shown when it asks. */
  readonly cert: string | undefined
  readonly key: string | undefined
}

export class UpstreamTls {
  readonly context: SecureContext
  readonly insecure: boolean
  readonly #settings: TlsSettings

  /** Throws when certificate and key do not fit. */
  constructor(settings: TlsSettings) {
    const { ca, cert, key, minVersion } = settings
    this.#settings = settings
    this.insecure = settings.insecure
    this.context = createSecureContext({
      minVersion,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
    })
  }

  /**
   * Reads the files. Throws when one cannot be read, holds no certificate, or does not fit the other. `previous` comes back
   * when it says the same.
   */
  static read(config: UpstreamTlsConfig, previous?: UpstreamTls): UpstreamTls {
    const { ca, cert, key, minVersion, insecure } = config
    const settings: TlsSettings = {
      ca: ca === undefined ? undefined : readCertificates(ca),
      cert: cert === undefined ? undefined : readCertificates(cert),
      key: key === undefined ? undefined : readRegularFile(key).toString(),
      minVersion,
      insecure,
    }
    if (previous !== undefined && sameConfig(previous.#settings, settings)) return previous
    try {
      return new UpstreamTls(settings)
    } catch (error) {
      const files = [ca, cert, key].filter((file) => file !== undefined).join(', ')
      throw new Error(`${files} cannot be used: ${messageOf(error)}`, { cause: error })
    }
  }

  /** For one endpoint. `previous`, what the same endpoint had before, comes back with its sessions where nothing has changed. */
  endpoint(
    serverName: string,
    handshakes: EndpointTls['handshakes'],
    previous?: EndpointTls,
  ): EndpointTls {
    const { context, insecure } = this
    if (previous?.context === context && previous.serverName === serverName) return previous
    return { serverName, context, insecure, sessions: new TlsSessions(), handshakes }
  }
}

/** The file's text, once all of it is known to be certificates: OpenSSL trusts those before a broken one, and says nothing. */
function readCertificates(file: string): string {
  const pem = readRegularFile(file).toString()
  try {
    certificatesIn(pem)
  } catch (error) {
    throw new Error(`${file} ${messageOf(error)}`, { cause: error })
  }
  return pem
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
