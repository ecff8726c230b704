{{- /* The name of the chart in labels. */ -}}
{{- define "vertex-injector.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- /* The name of every object; short enough for the suffixes that some of them get. */ -}}
{{- define "vertex-injector.fullname" -}}
{{- $name := include "vertex-injector.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "vertex-injector.selectorLabels" -}}
app.kubernetes.io/name: {{ include "vertex-injector.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "vertex-injector.labels" -}}
{{ include "vertex-injector.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{- end }}

{{- /* Labels and annotations of an object: dict root, and more labels and annotations of it. Ours win, then its own. */ -}}
{{- define "vertex-injector.metadata" -}}
labels:
  {{- merge (include "vertex-injector.labels" .root | fromYaml) (deepCopy (default dict .labels)) .root.Values.commonLabels | toYaml | nindent 2 }}
{{- with merge (deepCopy (default dict .annotations)) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Of both webhook configurations: cert-manager writes the caBundle where its certificate is served. */ -}}
{{- define "vertex-injector.webhookAnnotations" -}}
{{- $own := dict }}
{{- if eq .Values.certificates.mode "cert-manager" }}
{{- $own = dict "cert-manager.io/inject-ca-from" (printf "%s/%s" .Release.Namespace (include "vertex-injector.fullname" .)) }}
{{- end }}
{{- merge $own .Values.webhook.annotations | toYaml }}
{{- end }}

{{- /* The Secret with the certificate that is read from files. */ -}}
{{- define "vertex-injector.certificateSecret" -}}
{{- if eq .Values.certificates.mode "cert-manager" }}{{ include "vertex-injector.tlsSecretName" . }}{{ else }}{{ .Values.certificates.secretName }}{{ end }}
{{- end }}

{{- define "vertex-injector.serviceAccountName" -}}
{{- default (ternary (include "vertex-injector.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- /* The Secret in which the webhook keeps its own certificate. */ -}}
{{- define "vertex-injector.tlsSecretName" -}}
{{ include "vertex-injector.fullname" . }}-tls
{{- end }}

{{- /* The Secret of its CAs, with the key of the newest. */ -}}
{{- define "vertex-injector.caSecretName" -}}
{{ include "vertex-injector.fullname" . }}-ca
{{- end }}

{{- /* A number of hours: 36h, 30d. */ -}}
{{- define "vertex-injector.hours" -}}
{{- $number := regexFind "^[0-9]+" . | int -}}
{{- if hasSuffix "d" . }}{{ mul 24 $number }}{{ else }}{{ $number }}{{ end }}
{{- end }}

{{- define "vertex-injector.selfSigned" -}}
{{- if eq .Values.certificates.mode "self-signed" }}true{{ end }}
{{- end }}

{{- define "vertex-injector.image" -}}
{{- $repository := required "image.repository is not set, and has no default because no image is published. Build one with `make image`, push it to a registry that your nodes can reach (or load it into them with `make image-load`), and name it with --set image.repository=REGISTRY/vertex-injector. With webhook.url no image is needed" .Values.image.repository }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- /* The broker's image: its own, else the webhook's, else the one that is built here. */ -}}
{{- define "vertex-injector.brokerImage" -}}
{{- $own := .Values.broker.image }}
{{- $webhook := .Values.image }}
{{- $repository := coalesce $own.repository $webhook.repository "localhost/vertex-injector" }}
{{- $same := not $own.repository }}
{{- $digest := $own.digest }}
{{- $tag := $own.tag }}
{{- if and $same (not $digest) (not $tag) }}
{{- $digest = $webhook.digest }}
{{- $tag = $webhook.tag }}
{{- end }}
{{- if $digest }}
{{- printf "%s@%s" $repository $digest }}
{{- else }}
{{- printf "%s:%s" $repository (default .Chart.AppVersion $tag) }}
{{- end }}
{{- end }}

{{- /* Everything that marks an agent pod, checked for what the schema cannot say: JSON {"entries": […]}. */ -}}
{{- define "vertex-injector.agentSelectors" -}}
{{- $entries := concat .Values.agentSelectors .Values.extraAgentSelectors }}
{{- if not $entries }}
{{- fail "agentSelectors is empty: no pod would ever be sent to the webhook. Name at least one kind of agent pod; objectSelector: {} is every pod of an opted-in namespace" }}
{{- end }}
{{- $names := dict }}
{{- range $entries }}
{{- if hasKey $names .name }}
{{- fail (printf "agentSelectors and extraAgentSelectors have two entries of the name %q; each needs a name of its own" .name) }}
{{- end }}
{{- $_ := set $names .name true }}
{{- end }}
{{- dict "entries" $entries | toJson }}
{{- end }}

{{- /* The namespaces that take part, as a label selector: what the values say, without the system's and our own. */ -}}
{{- define "vertex-injector.namespaceSelector" -}}
{{- $selector := deepCopy .Values.namespaceSelector }}
{{- if and (not $selector.matchLabels) (not $selector.matchExpressions) }}
{{- $selector = dict "matchLabels" (dict "vertex-injector.dev/injection" "enabled") }}
{{- end }}
{{- $excluded := list "kube-node-lease" "kube-public" "kube-system" .Release.Namespace | uniq }}
{{- $exclusion := dict "key" "kubernetes.io/metadata.name" "operator" "NotIn" "values" $excluded }}
{{- $_ := set $selector "matchExpressions" (append (default list $selector.matchExpressions) $exclusion) }}
{{- toYaml $selector }}
{{- end }}

{{- /* Whether the label of namespaces opts in. */ -}}
{{- define "vertex-injector.optsInByLabel" -}}
{{- if not (or .Values.namespaceSelector.matchLabels .Values.namespaceSelector.matchExpressions) }}true{{ end }}
{{- end }}

{{- /* The same namespaces in CEL, of variables.labels. */ -}}
{{- define "vertex-injector.optedIn" -}}
{{- $selector := include "vertex-injector.namespaceSelector" . | fromYaml }}
{{- $terms := list }}
{{- range $key, $value := default dict $selector.matchLabels }}
{{- $terms = append $terms (printf "variables.labels[?%s].orValue(\"\") == %s" (toJson $key) (toJson $value)) }}
{{- end }}
{{- range default list $selector.matchExpressions }}
{{- $key := toJson .key }}
{{- if eq .operator "In" }}
{{- $terms = append $terms (printf "(%s in variables.labels && variables.labels[%s] in %s)" $key $key (toJson .values)) }}
{{- else if eq .operator "NotIn" }}
{{- $terms = append $terms (printf "!(%s in variables.labels && variables.labels[%s] in %s)" $key $key (toJson .values)) }}
{{- else if eq .operator "Exists" }}
{{- $terms = append $terms (printf "%s in variables.labels" $key) }}
{{- else }}
{{- $terms = append $terms (printf "!(%s in variables.labels)" $key) }}
{{- end }}
{{- end }}
{{- join " &&\n" $terms }}
{{- end }}

{{- /* The pods that ask: by any value that is not "false". */ -}}
{{- define "vertex-injector.asks" -}}
matchExpressions:
  - {key: vertex-injector.dev/inject, operator: Exists}
  - {key: vertex-injector.dev/inject, operator: NotIn, values: ["false"]}
{{- end }}

{{- /* How the API server calls the webhook: dict root, path. */ -}}
{{- define "vertex-injector.clientConfig" -}}
{{- with .root.Values.webhook.url }}
url: {{ printf "%s%s" (trimSuffix "/mutate" .) $.path | quote }}
{{- else }}
service:
  name: {{ include "vertex-injector.fullname" .root }}
  namespace: {{ .root.Release.Namespace }}
  path: {{ .path }}
  port: 443
{{- end }}
{{- /* In mode self-signed the field belongs to the webhook, so it must not be here at all. */}}
{{- with .root.Values.certificates.caBundle }}
caBundle: {{ b64enc . }}
{{- end }}
{{- end }}

{{- /* The writing of policies; not of their status. */ -}}
{{- define "vertex-injector.policyRules" -}}
- apiGroups: [vertex-injector.dev]
  apiVersions: [v1alpha1]
  operations: [CREATE, UPDATE]
  resources: [injectionpolicies, clusterinjectionpolicies]
{{- end }}

{{- /* What became stricter must not keep an old policy from being labelled, or its finalizers from being removed. */ -}}
{{- define "vertex-injector.specChanges" -}}
- name: spec-changes
  expression: oldObject == null || object.spec != oldObject.spec
{{- end }}

{{- /* What the values have to agree on beside the schema. */ -}}
{{- define "vertex-injector.check" -}}
{{- $files := eq .Values.certificates.mode "files" }}
{{- if and $files (not .Values.webhook.url) (not .Values.certificates.secretName) }}
{{- fail "certificates.secretName is not set: with certificates.mode=files, name the Secret of type kubernetes.io/tls that holds the webhook's certificate" }}
{{- end }}
{{- $managed := eq .Values.certificates.mode "cert-manager" }}
{{- if and $managed .Values.webhook.url }}
{{- fail "certificates.mode=cert-manager is for a webhook in the cluster; with webhook.url, take mode self-signed or files" }}
{{- end }}
{{- if and (include "vertex-injector.selfSigned" .) (or (hasKey .Values.webhook.annotations "cert-manager.io/inject-ca-from") (hasKey .Values.webhook.annotations "cert-manager.io/inject-ca-from-secret")) }}
{{- fail "webhook.annotations names cert-manager.io/inject-ca-from, and in certificates.mode=self-signed the webhook writes the caBundle itself: both would write it in turn. Take certificates.mode=cert-manager or files" }}
{{- end }}
{{- $ca := include "vertex-injector.hours" .Values.certificates.caLifetime | int }}
{{- $certificate := include "vertex-injector.hours" .Values.certificates.lifetime | int }}
{{- /* As the webhook itself has it, at its start: --certificate-lifetime and --ca-settle. */ -}}
{{- if and (include "vertex-injector.selfSigned" .) (gt (mul 16 $certificate) (mul 15 $ca)) }}
{{- fail (printf "certificates.lifetime=%s is more than 15/16 of certificates.caLifetime=%s: an authority signs until its certificates could outlive it" .Values.certificates.lifetime .Values.certificates.caLifetime) }}
{{- end }}
{{- if and .Values.autoscaling.enabled (lt (int .Values.autoscaling.maxReplicas) (int .Values.autoscaling.minReplicas)) }}
{{- fail "autoscaling.maxReplicas is less than autoscaling.minReplicas" }}
{{- end }}
{{- if and (not $files) .Values.certificates.secretName }}
{{- fail "certificates.secretName is only read with certificates.mode=files" }}
{{- end }}
{{- if and (not $files) .Values.certificates.caBundle }}
{{- fail "certificates.caBundle is only for certificates.mode=files: in mode self-signed the webhook keeps that field itself" }}
{{- end }}
{{- if eq (.Values.webhook.port | int) (.Values.adminPort | int) }}
{{- fail "webhook.port and adminPort are the same port" }}
{{- end }}
{{- end }}
