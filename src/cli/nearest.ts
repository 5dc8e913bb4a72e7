/** What somebody probably meant. */

/** The known word that is nearest to a wrong one; undefined where none is near. */
export function nearest(wrong: string, known: readonly string[]): string | undefined {
  const [best] = known.map((word) => ({ word, far: distance(wrong, word), alike: alike(wrong, word) }))
    .sort((a, b) => a.far - b.far || b.alike - a.alike);
  return best !== undefined && best.far <= Math.max(1, Math.floor(best.word.length / 3)) ? best.word : undefined;
}

/** How many characters they have in common at the beginning. */
function alike(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

/** How many characters have to be put in, left out, or exchanged for others or with their neighbour. */
function distance(a: string, b: string): number {
  let last: number[] = [], row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + Number(a[i - 1] !== b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        next[j] = Math.min(next[j], last[j - 2] + 1);
      }
    }
    [last, row] = [row, next];
  }
  return row[b.length];
}
