// Requests of Node over TLS: by fetch(), and by the module https with each version.
import https from "node:https";

const url = process.argv[2];

console.log((await (await fetch(`${url}/hello`)).text()).trim());
for (const version of ["TLSv1.2", "TLSv1.3"]) {
  const agent = new https.Agent({ minVersion: version, maxVersion: version });
  await new Promise((resolve, reject) => {
    const request = https.get(`${url}/hello`, { agent }, (response) => {
      let text = "";
      response.on("data", (data) => (text += data));
      response.on("end", () => {
        console.log(response.socket.getProtocol(), text.trim());
        resolve();
      });
    });
    request.on("error", reject);
  });
}
const response = await fetch(`${url}/echo`, { method: "POST", body: "x".repeat(1_000_000) });
console.log((await response.text()).length);
