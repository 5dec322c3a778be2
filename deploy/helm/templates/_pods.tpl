{{- define "goldcrest.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- /* goldcrest.role is the deployment and the disruption budget of one role. It takes (list $ "proxy"). */ -}}
{{- define "goldcrest.role" -}}
{{- $role := index . 1 }}{{ with index . 0 }}
{{- $values := get .Values $role }}
apiVersion: apps/v1
kind: Deployment
metadata: {name: goldcrest-{{ $role }}, labels: {app.kubernetes.io/name: goldcrest}}
spec:
  # No replicas here: the autoscaler sets the number.
  selector: {matchLabels: {app: goldcrest-{{ $role }}}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata:
      labels: {app: goldcrest-{{ $role }}}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "8081"
        prometheus.io/path: /metrics
        # A new configuration starts new pods.
        checksum/config: {{ toYaml .Values.config | sha256sum }}
        {{- with .Values.pods.annotations }}{{ toYaml . | nindent 8 }}{{ end }}
    spec:
      serviceAccountName: {{ .Values.serviceAccount.name }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: 40 # longer than server.drain
      {{- with .Values.image.pullSecrets }}
      imagePullSecrets: {{ toJson . }}
      {{- end }}
      {{- with .Values.pods.nodeSelector }}
      nodeSelector: {{ toJson . }}
      {{- end }}
      {{- with .Values.pods.tolerations }}
      tolerations: {{ toJson . }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        seccompProfile: {type: RuntimeDefault}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {matchLabels: {app: goldcrest-{{ $role }}}}
      containers:
        - name: goldcrest
          image: {{ include "goldcrest.image" . | quote }}
          env:
            - {name: GOLDCREST_ROLES, value: "[{{ $role }}]"}
            - {name: GOLDCREST_TRANSFORM_WORKERS, value: {{ $values.workers | quote }}}
          envFrom:
            - secretRef: {name: {{ .Values.secrets.s3 }}, optional: true}
          ports:
            - {name: http, containerPort: 8080}
            - {name: admin, containerPort: 8081}
          startupProbe: {httpGet: {path: /healthz, port: admin}, periodSeconds: 2, failureThreshold: 30}
          livenessProbe: {httpGet: {path: /healthz, port: admin}, periodSeconds: 10, timeoutSeconds: 5}
          readinessProbe: {httpGet: {path: /readyz, port: admin}, periodSeconds: 5, timeoutSeconds: 3}
          resources: {{ toJson $values.resources }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          volumeMounts:
            - {name: config, mountPath: /etc/goldcrest}
            - {name: secrets, mountPath: /run/secrets/goldcrest, readOnly: true}
            - {name: tmp, mountPath: /tmp}
      volumes:
        - {name: config, configMap: {name: goldcrest}}
        - {name: secrets, secret: {secretName: {{ .Values.secrets.files }}, defaultMode: 288}} # 0440
        - {name: tmp, emptyDir: {sizeLimit: 64Mi}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: goldcrest-{{ $role }}, labels: {app.kubernetes.io/name: goldcrest}}
spec:
  maxUnavailable: 1
  selector: {matchLabels: {app: goldcrest-{{ $role }}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: goldcrest-{{ $role }}, labels: {app.kubernetes.io/name: goldcrest}}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: goldcrest-{{ $role }}}
  minReplicas: {{ $values.minReplicas }}
  maxReplicas: {{ $values.maxReplicas }}
{{- end }}
{{- end }}
