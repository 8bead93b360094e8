/* tslint:disable */
/* eslint-disable */

/**
 * One commons, one member.
 */
export class Commons {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * `terms`: as asked, or narrower. A comparison takes the sample that was captured last.
     */
    approve(ask: string, terms: string): Promise<string>;
    /**
     * After [`Self::follow`]: entries with the member's mark that no receipt explains, and receipts that the logs do not bear out.
     */
    audit(receipts: string, told: Uint32Array | number[]): string;
    /**
     * Captures a template from a photograph and keeps it here.
     */
    capture(photograph: Uint8Array | number[]): string;
    /**
     * Captures a template from a camera's picture and keeps it here.
     */
    capture_pixels(rgba: Uint8Array | number[], width: number, height: number): string;
    charter(again: boolean): Promise<string>;
    /**
     * Checks a receipt, offline.
     */
    check(receipt: string): string;
    close_key(): void;
    /**
     * Adds the proofs of the three logs to a receipt.
     */
    complete(receipt: string): Promise<string>;
    /**
     * The public device key in this commons.
     */
    device_id(): string;
    enrol(note: string): Promise<string>;
    facts(): Promise<string>;
    /**
     * Reads the three logs on to their newest checkpoints, checks and compares them.
     */
    follow(): Promise<string>;
    /**
     * What to keep between two visits.
     */
    followed(): Uint8Array;
    forget_sample(): void;
    grant(terms: string): Promise<string>;
    has_models(): boolean;
    has_sample(): boolean;
    /**
     * Receipts that are missing among `known` (a JSON array), made from what the nodes tell. `charters`: signed charters, in base64,
     * that were in force once.
     */
    history(known: string, charters: string[]): Promise<string>;
    inspect(): Promise<string>;
    is_open(): boolean;
    load_models(profile: string, detect: Uint8Array | number[], landmark: Uint8Array | number[], embed: Uint8Array | number[]): void;
    /**
     * Guidance from a camera's picture: what was measured; thrown: what to change.
     */
    look(rgba: Uint8Array | number[], width: number, height: number): string;
    /**
     * `origin`: the receipt of the grant, where there is one; its terms then stand in the new receipt.
     */
    narrow(grant: string, expires_at?: number | null, uses_left?: number | null, origin?: string | null): Promise<string>;
    /**
     * Of the commons whose roster this is.
     */
    constructor(roster: string);
    /**
     * Makes a key, opens it, and gives its file.
     */
    new_key(passphrase: string): Uint8Array;
    open_key(file: Uint8Array | number[], passphrase: string): string;
    refuse(ask: string): Promise<string>;
    /**
     * Continues from what an earlier visit kept.
     */
    resume(state: Uint8Array | number[]): void;
    revoke(grant: string, origin?: string | null): Promise<string>;
    roster(): string;
    /**
     * Another passphrase for the open key.
     */
    seal_key(passphrase: string): Uint8Array;
    /**
     * An ask by its id: all three nodes must show the same.
     */
    see(ask: string): Promise<string>;
    shield_down(restore: string[]): Promise<string>;
    shield_up(): Promise<string>;
    /**
     * Any numbers, split with the same function as a template.
     */
    show_shares(values: Uint32Array | number[]): string;
    /**
     * A template of a photograph, as numbers, for the person whose it is.
     */
    show_template(photograph: Uint8Array | number[]): string;
    /**
     * The same from a camera's picture.
     */
    show_template_of_pixels(rgba: Uint8Array | number[], width: number, height: number): string;
    status(): Promise<string>;
    verify(note: string): Promise<string>;
    /**
     * Says no to a recovery that somebody began in this member's name.
     */
    veto(recovery: string): Promise<string>;
    withdraw(): Promise<string>;
}

/**
 * The same template as the command line makes, for tests: the words that would be shared, in base64.
 */
export function template_for_test(commons: Commons, photograph: Uint8Array | number[]): string;

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
    readonly __wbg_commons_free: (a: number, b: number) => void;
    readonly commons_approve: (a: number, b: number, c: number, d: number, e: number) => any;
    readonly commons_audit: (a: number, b: number, c: number, d: number, e: number) => [number, number, number, number];
    readonly commons_capture: (a: number, b: number, c: number) => [number, number, number, number];
    readonly commons_capture_pixels: (a: number, b: number, c: number, d: number, e: number) => [number, number, number, number];
    readonly commons_charter: (a: number, b: number) => any;
    readonly commons_check: (a: number, b: number, c: number) => [number, number, number, number];
    readonly commons_close_key: (a: number) => void;
    readonly commons_complete: (a: number, b: number, c: number) => any;
    readonly commons_device_id: (a: number) => [number, number, number, number];
    readonly commons_enrol: (a: number, b: number, c: number) => any;
    readonly commons_facts: (a: number) => any;
    readonly commons_follow: (a: number) => any;
    readonly commons_followed: (a: number) => [number, number];
    readonly commons_forget_sample: (a: number) => void;
    readonly commons_grant: (a: number, b: number, c: number) => any;
    readonly commons_has_models: (a: number) => number;
    readonly commons_has_sample: (a: number) => number;
    readonly commons_history: (a: number, b: number, c: number, d: number, e: number) => any;
    readonly commons_inspect: (a: number) => any;
    readonly commons_is_open: (a: number) => number;
    readonly commons_load_models: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number, i: number) => [number, number];
    readonly commons_look: (a: number, b: number, c: number, d: number, e: number) => [number, number, number, number];
    readonly commons_narrow: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number) => any;
    readonly commons_new: (a: number, b: number) => [number, number, number];
    readonly commons_new_key: (a: number, b: number, c: number) => [number, number, number, number];
    readonly commons_open_key: (a: number, b: number, c: number, d: number, e: number) => [number, number, number, number];
    readonly commons_refuse: (a: number, b: number, c: number) => any;
    readonly commons_resume: (a: number, b: number, c: number) => [number, number];
    readonly commons_revoke: (a: number, b: number, c: number, d: number, e: number) => any;
    readonly commons_roster: (a: number) => [number, number];
    readonly commons_seal_key: (a: number, b: number, c: number) => [number, number, number, number];
    readonly commons_see: (a: number, b: number, c: number) => any;
    readonly commons_shield_down: (a: number, b: number, c: number) => any;
    readonly commons_shield_up: (a: number) => any;
    readonly commons_show_shares: (a: number, b: number, c: number) => [number, number, number, number];
    readonly commons_show_template: (a: number, b: number, c: number) => [number, number, number, number];
    readonly commons_show_template_of_pixels: (a: number, b: number, c: number, d: number, e: number) => [number, number, number, number];
    readonly commons_status: (a: number) => any;
    readonly commons_verify: (a: number, b: number, c: number) => any;
    readonly commons_veto: (a: number, b: number, c: number) => any;
    readonly commons_withdraw: (a: number) => any;
    readonly template_for_test: (a: number, b: number, c: number) => [number, number, number, number];
    readonly wasm_bindgen__convert__closures_____invoke__h026ae5ffd8b298fb: (a: number, b: number, c: any) => [number, number];
    readonly wasm_bindgen__convert__closures_____invoke__h219697a4ce4156d9: (a: number, b: number, c: any, d: any) => void;
    readonly __wbindgen_malloc: (a: number, b: number) => number;
    readonly __wbindgen_realloc: (a: number, b: number, c: number, d: number) => number;
    readonly __wbindgen_free: (a: number, b: number, c: number) => void;
    readonly __wbindgen_exn_store: (a: number) => void;
    readonly __externref_table_alloc: () => number;
    readonly __wbindgen_externrefs: WebAssembly.Table;
    readonly __wbindgen_destroy_closure: (a: number, b: number) => void;
    readonly __externref_table_dealloc: (a: number) => void;
    readonly __externref_drop_slice: (a: number, b: number) => void;
    readonly __wbindgen_start: () => void;
}

export type SyncInitInput = BufferSource | WebAssembly.Module;

/**
 * Instantiates the given `module`, which can either be bytes or
 * a precompiled `WebAssembly.Module`.
 *
 * @param {{ module: SyncInitInput }} module - Passing `SyncInitInput` directly is deprecated.
 *
 * @returns {InitOutput}
 */
export function initSync(module: { module: SyncInitInput } | SyncInitInput): InitOutput;

/**
 * If `module_or_path` is {RequestInfo} or {URL}, makes a request and
 * for everything else, calls `WebAssembly.instantiate` directly.
 *
 * @param {{ module_or_path: InitInput | Promise<InitInput> }} module_or_path - Passing `InitInput` directly is deprecated.
 *
 * @returns {Promise<InitOutput>}
 */
export default function __wbg_init (module_or_path?: { module_or_path: InitInput | Promise<InitInput> } | InitInput | Promise<InitInput>): Promise<InitOutput>;
