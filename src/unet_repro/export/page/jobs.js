// The worker, and the jobs that it is asked to do.

const questions = new Map();
let worker = null, nextJob = 0;

/** The answer to a job of worker.js; rejected with its reason if the job fails. */
export function ask(type, content = {}, transfer = []) {
  const job = nextJob++;
  return new Promise((resolve, reject) => {
    questions.set(job, { resolve, reject });
    worker.postMessage({ type, job, ...content }, transfer);
  });
}

/** Makes the worker stop after the tile in work. */
export function askToStop() {
  worker?.postMessage({ type: "stop" });
}

/** The bytes of an embedded file, still compressed. */
function embedded(id) {
  return Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (letter) => letter.charCodeAt(0));
}

async function unpackText(id) {
  return new Response(new Blob([embedded(id)]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

/** Starts the worker with the network; `announced` receives its messages about tiles. Returns the answer to `start`. */
export async function startWorker(description, announced) {
  const scripts = [await unpackText("tiff"), await unpackText("runtime"), document.getElementById("worker").textContent];
  worker = new Worker(URL.createObjectURL(new Blob(scripts.flatMap((text) => [text, "\n"]), { type: "text/javascript" })));
  worker.onmessage = ({ data }) => {
    const question = questions.get(data.job);
    questions.delete(data.job);
    if (data.type === "done") question.resolve(data);
    else if (data.type === "failed") question.reject(new Error(data.message));
    else announced(data);
  };
  const broken = new Promise((_, reject) => { worker.onerror = (event) => reject(new Error(event.message || "the worker did not start")); });
  const parts = Object.fromEntries(["loader", "wasm", "weights"].map((id) => [id, embedded(id)]));
  return Promise.race([ask("start", { parts, description }, Object.values(parts).map((bytes) => bytes.buffer)), broken]);
}
