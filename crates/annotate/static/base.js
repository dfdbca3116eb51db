// Where the project lies on its server: "" where it has the server for itself, else a path such as "/kitchens".

/** What every address on the server begins with. */
export const base = new URL("..", import.meta.url).pathname.replace(/\/$/u, "");
