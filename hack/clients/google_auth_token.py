"""Obtains an access token as any program with google-auth does: Application Default Credentials.

Prints what came back as one line of JSON. An error is google-auth's own, with exit code 1.
"""

import json

import google.auth
import google.auth.transport.requests

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]

credentials, project = google.auth.default(scopes=SCOPES)
credentials.refresh(google.auth.transport.requests.Request())
print(
    json.dumps(
        {
            "credentials": type(credentials).__module__,
            "project": project,
            "token": credentials.token,
            "expiry": credentials.expiry.isoformat(),
            "service_account": getattr(credentials, "service_account_email", None),
        }
    )
)
