// Waits of half a second and more pass a hundred times as fast. `cn` asks a model that fails eleven times, with growing
// pauses between, more than two minutes in all: this is for the tests that want to see how that ends.
const slow = globalThis.setTimeout;
globalThis.setTimeout = (then, wait, ...rest) => slow(then, wait >= 500 ? wait / 100 : wait, ...rest);
