// Shows openapi.json. Servers without a way to the internet have no use for viewers that load from one.

const make = (tag, text, kind = "") => {
  const node = document.createElement(tag);
  node.textContent = text;
  node.className = kind;
  return node;
};

const response = await fetch("openapi.json");
const api = await response.json();
const here = new URL(".", location.href).href;
document.getElementById("about").textContent = api.info.description;
document.getElementById("example").textContent = `curl -F files=@photo.jpg ${here}v1/predict
curl -F files=@photo.jpg ${here}v1/card
curl -F files=@photo.jpg "${here}v1/explain?format=png" -o map.png
curl -H "Content-Type: application/json" -d '{"images": [{"name": "photo", "data": "'$(base64 -w0 photo.jpg)'"}]}' ${here}v1/predict`;

const routes = document.getElementById("routes");
for (const [path, operations] of Object.entries(api.paths)) {
  for (const [verb, operation] of Object.entries(operations)) {
    const box = make("section", "", "route");
    const title = make("h2", "");
    title.append(make("span", verb.toUpperCase(), "verb"), make("code", path));
    box.append(title, make("p", operation.description ?? operation.summary));
    const list = document.createElement("dl");
    const add = (name, text) => list.append(make("dt", name), make("dd", text));
    for (const parameter of operation.parameters ?? []) {
      const choices = parameter.schema.enum ? ` (${parameter.schema.enum.join(", ")})` : "";
      add(`?${parameter.name}=`, `${parameter.description}${choices}`);
    }
    for (const kind of Object.keys(operation.requestBody?.content ?? {})) add("body", kind);
    for (const [status, about] of Object.entries(operation.responses)) {
      add(status, `${about.description} ${Object.keys(about.content ?? {}).map((kind) => `(${kind})`).join(" ")}`);
    }
    box.append(list);
    routes.append(box);
  }
}
