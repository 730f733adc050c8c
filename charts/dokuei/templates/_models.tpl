{{/*
Every InferenceService of the release: YAML of a list under `services`, stable ones and canaries, with the defaults
filled in. Each has name, model, variant, card, runtime, storageUri, replicas, pool and so on.
*/}}
{{- define "dokuei.services" -}}
services:
{{- range $model, $given := .Values.models }}
{{- $given = $given | default dict }}
{{- if ne (toString $given.enabled) "false" }}
  - {{- include "dokuei.service" (dict "root" $ "model" $model "given" $given) | nindent 4 }}
  {{- with $given.canary }}
  - {{- include "dokuei.service" (dict "root" $ "model" $model "canary" true "given" (merge (deepCopy .) (omit $given "canary" "card" "storageUri"))) | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "dokuei.service" -}}
{{- $root := .root -}}
{{- $given := .given -}}
{{- $defaults := $root.Values.modelDefaults -}}
{{- $card := $given.card | default ($root.Files.Get (printf "files/cards/%s.yaml" .model)) -}}
{{- if not $card }}{{ fail (printf "models.%s: there is no card; give it with --set-file models.%s.card=card.yaml" .model .model) }}{{ end -}}
{{- $declared := fromYaml $card -}}
{{- if $declared.Error }}{{ fail (printf "models.%s.card is not YAML: %s" .model $declared.Error) }}{{ end -}}
{{- if ne $declared.name .model }}{{ fail (printf "models.%s.card is the card of %s; the key under `models` is the card's name" .model $declared.name) }}{{ end -}}
{{- $runtime := $given.runtime | default $defaults.runtime -}}
{{- $pool := ($given.gpu | default $defaults.gpu | default dict).pool | default "" -}}
{{- $repository := $root.Values.modelStorage.repository | replace "{name}" .model -}}
{{- $image := include "dokuei.image" (dict "root" $root "image" (dict "repository" $repository "tag" $declared.version)) -}}
{{- $service := dict
  "name" (ternary (printf "%s-canary" .model) .model (.canary | default false))
  "model" .model
  "variant" (ternary "canary" "stable" (.canary | default false))
  "card" $card
  "version" $declared.version
  "runtime" $runtime
  "pool" $pool
  "provider" (($given.gpu | default $defaults.gpu | default dict).provider | default "cuda")
  "storageUri" ($given.storageUri | default (printf "oci://%s" $image))
  "replicas" (int (ternary $given.replicas $defaults.replicas (hasKey $given "replicas")))
  "resources" ($given.resources | default (index $defaults.resources $runtime))
  "autoscaling" ($given.autoscaling | default $defaults.autoscaling | default dict)
  "weight" ($given.weight | default 0)
  "shadow" ($given.shadow | default 0)
-}}
{{- toYaml $service -}}
{{- end -}}

{{/* Name of the ServingRuntime of a service. */}}
{{- define "dokuei.runtimeName" -}}
{{- include "dokuei.name" (dict "root" .root "component" (ternary .service.runtime (printf "%s-gpu" .service.runtime) (empty .service.pool))) -}}
{{- end -}}
