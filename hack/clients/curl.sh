#!/bin/sh
# Calls the model that its argument names by curl, configured by its environment alone: through the proxy where a variable names
# one, else with a token of the metadata server. Offers HTTP/2 as curl does with --http2, and sends 3 MB, so that curl waits for
# 100 Continue. Writes the answer to standard output; of another status than 200, with exit code 22.
set -eu
model=$1
case "$model" in
  claude-*)
    call="publishers/anthropic/models/$model:rawPredict" region=$CLOUD_ML_REGION
    before='{"anthropic_version":"vertex-2023-10-16","max_tokens":64,"messages":[{"role":"user","content":"' after='"}]}'
    base=${ANTHROPIC_VERTEX_BASE_URL-}
    ;;
  *)
    call="publishers/google/models/$model:generateContent" region=$GOOGLE_CLOUD_LOCATION
    before='{"contents":[{"role":"user","parts":[{"text":"' after='"}]}]}'
    base=${GOOGLE_VERTEX_BASE_URL:+$GOOGLE_VERTEX_BASE_URL/v1}
    ;;
esac
{
  printf %s "$before"
  head -c 3000000 /dev/zero | tr '\0' x
  printf %s "$after"
} >/tmp/prompt.json

token=$(curl --silent --show-error --fail --http2 --header 'Metadata-Flavor: Google' \
  "http://$GCE_METADATA_HOST/computeMetadata/v1/instance/service-accounts/default/token" |
  sed 's/.*"access_token":"\([^"]*\)".*/\1/')
curl --silent --show-error --fail-with-body --max-time 60 --http2 \
  --header "Authorization: Bearer $token" --header 'Content-Type: application/json' --header 'Expect: 100-continue' \
  --data-binary @/tmp/prompt.json --write-out '%{stderr}HTTP/%{http_version}\n' \
  "${base:-https://$region-aiplatform.googleapis.com/v1}/projects/$GOOGLE_CLOUD_PROJECT/locations/$region/$call"
