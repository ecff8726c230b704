// Obtains an access token as any program with google-auth-library does: Application Default Credentials.
// Prints what came back as one line of JSON. An error is the client's own, with exit code 1.
import { GoogleAuth } from "google-auth-library";

const auth = new GoogleAuth({ scopes: ["https://www.googleapis.com/auth/cloud-platform"] });
const client = await auth.getClient();
const { token } = await client.getAccessToken();
console.log(
  JSON.stringify({
    credentials: client.constructor.name,
    project: await auth.getProjectId(),
    token,
  }),
);
