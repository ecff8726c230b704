{{- /*
Pieces of CEL for policyrules.yaml. CEL has no functions of its own, so the expressions that several fields share are here.
Each rule yields a list of sentences, one per offending field.
*/ -}}

{{- /* Whether a field is there; the dot is the field. A CRD keeps null where a field may be null, and it means absent. */ -}}
{{- define "vertex-injector.cel.set" -}}
has({{ . }}) && dyn({{ . }}) != null
{{- end }}

{{- /* A field, or what stands for its absence: dict field, default. */ -}}
{{- define "vertex-injector.cel.or" -}}
{{ include "vertex-injector.cel.set" .field }} ? {{ .field }} : {{ .default }}
{{- end }}

{{- /* Fields of a list: dict list (CEL), when (CEL with i), say (CEL with i). */ -}}
{{- define "vertex-injector.cel.each" -}}
variables.upTo.filter(i, i < {{ .list }}.size() && ({{ .when }})).map(i, {{ .say }})
{{- end }}

{{- /* Fields of a list in a list: dict outer, inner (CEL with i), when, say (CEL with i and j). */ -}}
{{- define "vertex-injector.cel.eachWithin" -}}
variables.upTo.filter(i, i < {{ .outer }}.size()).map(i,
variables.upTo.filter(j, j < {{ .inner }}.size() && ({{ .when }})).map(j, {{ .say }}).join("; ")).filter(text, text != "")
{{- end }}

{{- /* Whether a variable's name is refused, and why; the dot is the name in CEL. */ -}}
{{- define "vertex-injector.cel.refusedName" -}}
{{ . }} in variables.refusedNames || variables.refusedPrefixes.exists(prefix, {{ . }}.startsWith(prefix))
{{- end }}
{{- define "vertex-injector.cel.becauseOfName" -}}
strings.quote({{ . }}) + " may not be set by a policy: " + variables.reasons[{{ . }} in variables.refusedNames ?
variables.refusedNames[{{ . }}] : variables.refusedPrefixes[variables.refusedPrefixes.filter(prefix, {{ . }}.startsWith(prefix))[0]]]
{{- end }}

{{- /* Whether a variable is a literal under a name that looks like a secret's: dict var, word (its name, prepared); and the sentence, the dot being the variable. */ -}}
{{- define "vertex-injector.cel.literalSecret" -}}
{{ include "vertex-injector.cel.set" (printf "%s.value" .var) }} && {{ .var }}.value != "" && variables.secretWords.exists(word, {{ .word }}.endsWith(word))
{{- end }}
{{- define "vertex-injector.cel.becauseOfLiteral" -}}
strings.quote({{ . }}.name) + " looks like a secret, and a literal is readable by everyone who may read the policy or the pod; use valueFrom.secretKeyRef"
{{- end }}

{{- /* Whether an audience is the API server's, and the sentence; the dot is the audience. */ -}}
{{- define "vertex-injector.cel.apiAudience" -}}
variables.apiServerAudiences.exists(api, {{ . }} == api || ({{ . }}.startsWith(api) && {{ . }}.substring(api.size()).matches("^/+$")))
{{- end }}
{{- define "vertex-injector.cel.becauseOfAudience" -}}
strings.quote({{ . }}) + " is an audience of the API server: such a token would be a credential for the cluster"
{{- end }}

{{- /* A URL whose host must be Google's or the operator's: dict url (CEL, "" for none), field, google (regular expression). */ -}}
{{- define "vertex-injector.cel.endpoint" -}}
{{ .url }} == "" || {{ .url }}.substring(8) in variables.endpointHosts || {{ .url }}.substring(8).matches({{ printf "^(%s)$" .google | toJson }}) ? [] :
[{{ printf "%s: host " .field | toJson }} + strings.quote({{ .url }}.substring(8)) + " may not receive tokens: it is none of Google's for this, and " +
(variables.endpointHosts.size() == 0 ? "the operator's list of endpointHosts is empty" : "the operator's list of endpointHosts has " + variables.endpointHosts.join(", "))]
{{- end }}

{{- /* Paths at which nothing may be mounted: dict paths (CEL list), real (the same with /run for /var/run), before, after (of the index in the field's name). */ -}}
{{- define "vertex-injector.cel.paths" -}}
{{- $field := printf "%s + string(i) + %s + strings.quote(%s[i])" (toJson .before) (printf "%s: " .after | toJson) .paths -}}
{{ include "vertex-injector.cel.each" (dict "list" .paths "when" (printf "!%s[i].matches(variables.plainPath)" .paths)
  "say" (printf "%s + %s" $field (toJson " is not a plain absolute path: no empty, '.' or '..' part, no '/' at the end"))) }} +
{{ include "vertex-injector.cel.each" (dict "list" .paths "when" (printf "variables.closedPaths.exists(closed, %s[i] == closed || %s[i].startsWith(closed + \"/\"))" .real .real)
  "say" (printf "%s + %s + variables.closedPaths.filter(closed, %s[i] == closed || %s[i].startsWith(closed + \"/\"))[0]" $field (toJson " is not for policies: nothing may be mounted at or below ") .real .real)) }}
{{- end }}

{{- /* The mounts that a policy adds: as paths, with offset (their place in variables.mountedAt, CEL): not where credentials are, nor where an earlier one is. */ -}}
{{- define "vertex-injector.cel.mounts" -}}
{{- $field := printf "%s + string(i) + %s + strings.quote(%s[i])" (toJson .before) (printf "%s: " .after | toJson) .paths -}}
{{ include "vertex-injector.cel.paths" . }} +
{{ include "vertex-injector.cel.each" (dict "list" .paths "when" (printf "%s[i] == variables.credentialDirectory || %s[i].startsWith(variables.credentialDirectory + \"/\")" .real .real)
  "say" (printf "%s + %s" $field (toJson " is where credentials are mounted by default; choose another directory"))) }} +
{{ include "vertex-injector.cel.each" (dict "list" .paths "when" (printf "variables.mountedAt.indexOf(%s[i]) < i + %s" .real .offset)
  "say" (printf "%s + %s" $field (toJson " is the mount path of another entry already"))) }}
{{- end }}
