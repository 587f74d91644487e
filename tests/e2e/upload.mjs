// Uploads by fetch: a stream of 15 times 64 KiB, one each 33 ms; then 10 times a stream and 3 MB as fast as they go.
// Writes one line of JSON for each.
const url = process.argv[2];

function stream(pieces, delay) {
  return new ReadableStream({
    async pull(controller) {
      if (pieces-- === 0) return controller.close();
      if (delay) await new Promise((resolve) => setTimeout(resolve, delay));
      controller.enqueue(new Uint8Array(65536));
    },
  });
}

async function upload(body) {
  try {
    const response = await fetch(url, { method: "POST", body, duplex: "half" });
    console.log(JSON.stringify({ status: response.status, size: (await response.text()).length }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.cause?.code ?? error.message }));
  }
}

await upload(stream(15, 33));
for (let i = 0; i < 10; i++) {
  await upload(stream(50, 0));
  await upload(new Uint8Array(3e6));
}
