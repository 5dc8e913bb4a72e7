/** Random values that are the same in every run. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 32 bits: a Weyl sequence, hashed. */
  u32(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let x = this.#state;
    x = Math.imul(x ^ x >>> 16, 0x21f0aaad);
    x = Math.imul(x ^ x >>> 15, 0x735a2d97);
    return (x ^ x >>> 15) >>> 0;
  }

  /** A whole number from 0 up to, not including, `n`; `n` is at most 2^32. */
  below(n: number): number {
    return Math.floor(this.u32() / 2 ** 32 * n);
  }

  /** 64 bits. */
  u64(): bigint {
    return BigInt(this.u32()) << 32n | BigInt(this.u32());
  }

  /** From 0 to 2^53-1, of any magnitude. */
  u53(): number {
    return Number(this.u64() >> BigInt(11 + this.below(53)));
  }

  /** So many bytes. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length }, () => this.u32());
  }
}
