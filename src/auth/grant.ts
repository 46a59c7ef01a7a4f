/** What a check gives together with an identity: how long a tunnel that it let in may stay. */

/** `unknown`: the question could not be answered now. */
export type Standing =
  | { readonly is: 'holds' | 'ended' }
  | { readonly is: 'unknown'; readonly cause: string }

/** One check's yes, kept with the tunnel that it let in. It holds no secret, save what `ask` needs for its question. */
export interface Grant {
  /** The check's name in the config. */
  readonly check: string
  readonly giver: Giver
  /** Of whose credentials they are. */
  readonly user: string | undefined
  /** When the credentials end by themselves, in milliseconds since 1970; undefined when they do not. */
  readonly expiresAtMs: number | undefined
  /** For credentials of a file: whether its present content still has them. Undefined where there is no file. */
  stands?(): boolean
  /** For an authorization server that is asked again. */
  readonly recheck?: Recheck | undefined
}

/** The check that gave a grant, as far as the grant's holder needs it. */
export interface Giver {
  readonly name: string
  /**
   * Calls `listener` whenever `stands` may answer anew, until the returned function is called. Undefined where no tunnel
   * ends by what `stands` says.
   */
  readonly onChange?: ((listener: () => void) => () => void) | undefined
}

export interface Recheck {
  readonly everyMs: number
  /** What becomes of the tunnel when the server cannot be asked, after it was tried again for a while. */
  readonly onError: 'keep' | 'close'
  /** Never rejects. */
  ask(): Promise<Standing>
}
