//! Gemini's generateContent, streamGenerateContent, countTokens and computeTokens, and what embeds, in the first spelling of proto3 JSON.

use super::Member::{Address, Asks, Choice, Data, File, In, Model, Resource, Stored};
use super::{FREE, NOTHING, Place};
use vertex_injector_core::contract::proxy::Feature::{
    CodeExecution, FileSources, GoogleMaps, McpServers, Retrieval, UnknownTools, WebFetch, WebSearch,
};

/// The body.
pub static ROOT: Place = alike!(
    // The token is an earlier answer's, and its client sends it with the request that was answered.
    &["continuationToken", "serviceTier"],
    &[
        ("contents", In(&CONTENT)),
        ("systemInstruction", In(&CONTENT)),
        ("generationConfig", In(&GENERATION_CONFIG)),
        ("tools", In(&TOOL)),
        ("toolConfig", In(&TOOL_CONFIG)),
        ("safetySettings", In(&SAFETY_SETTING)),
        ("labels", In(&LABELS)),
        ("cachedContent", Stored),
        ("model", Model),
        ("generateContentRequest", In(&ROOT)),
        // What older models were asked; of countTokens only.
        ("instances", In(&FREE)),
        ("modelArmorConfig", In(&MODEL_ARMOR)),
        ("outputConfig", In(&OUTPUT_CONFIG)),
    ],
);

/// The body of embedContent, and what batchEmbedContents has many of.
pub static EMBED: Place = alike!(
    &["autoTruncate", "outputDimensionality", "taskType", "title"],
    &[
        ("model", Model),
        ("content", In(&CONTENT)),
        ("embedContentConfig", In(&EMBED_CONFIG)),
        ("requests", In(&EMBED)),
    ],
);
static EMBED_CONFIG: Place = alike!(
    &[
        "audioTrackExtraction",
        "autoTruncate",
        "documentOcr",
        "outputDimensionality",
        "taskType",
        "title",
    ],
    &[],
);

/// The body of predict, of models that embed texts.
pub static PREDICT: Place = alike!(
    &[],
    &[("instances", In(&TEXT_INSTANCE)), ("parameters", In(&EMBED_PARAMETERS))],
);
static TEXT_INSTANCE: Place = alike!(&["content", "mimeType", "taskType", "title"], &[]);
static EMBED_PARAMETERS: Place = alike!(&["autoTruncate", "outputDimensionality"], &[]);

/// The body of computeTokens.
pub static COMPUTE_TOKENS: Place = alike!(&[], &[("model", Model), ("contents", In(&CONTENT))]);

static LABELS: Place = Place::Each(&NOTHING);
static SAFETY_SETTING: Place = alike!(&["category", "method", "threshold"], &[]);
/// Templates by which prompts and answers are judged, and perhaps logged.
static MODEL_ARMOR: Place = alike!(
    &[],
    &[("promptTemplateName", Resource), ("responseTemplateName", Resource)],
);
static OUTPUT_CONFIG: Place = alike!(&[], &[("outputUriPrefix", Asks(FileSources, &NOTHING))]);

static CONTENT: Place = alike!(&["role"], &[("parts", In(&PART))]);

static PART: Place = alike!(
    &["text", "thought", "thoughtSignature", "mediaProcessing"],
    &[
        ("functionCall", In(&FUNCTION_CALL)),
        ("functionResponse", In(&FUNCTION_RESPONSE)),
        ("inlineData", In(&INLINE_DATA)),
        ("fileData", File(&FILE_DATA)),
        ("executableCode", In(&EXECUTABLE_CODE)),
        ("codeExecutionResult", In(&CODE_EXECUTION_RESULT)),
        ("toolCall", In(&TOOL_CALL)),
        ("toolResponse", In(&TOOL_RESPONSE)),
        ("partMetadata", Data),
        ("mediaResolution", In(&MEDIA_RESOLUTION)),
        ("videoMetadata", In(&VIDEO_METADATA)),
        ("audioMetadata", In(&AUDIO_METADATA)),
        ("documentMetadata", In(&DOCUMENT_METADATA)),
        ("spreadsheetMetadata", In(&SPREADSHEET_METADATA)),
        ("speechMetadata", In(&SPEECH_METADATA)),
        ("audioTranscription", In(&TRANSCRIPTION)),
    ],
);

static FUNCTION_CALL: Place = alike!(
    &["id", "name", "willContinue"],
    &[("args", Data), ("partialArgs", In(&PARTIAL_ARG))],
);
static PARTIAL_ARG: Place = alike!(
    &[
        "boolValue",
        "jsonPath",
        "nullValue",
        "numberValue",
        "stringValue",
        "willContinue",
    ],
    &[],
);
static FUNCTION_RESPONSE: Place = alike!(
    &["id", "name", "scheduling", "willContinue"],
    &[("response", Data), ("parts", In(&FUNCTION_RESPONSE_PART))],
);
static FUNCTION_RESPONSE_PART: Place = alike!(
    &["mediaProcessing"],
    &[
        ("inlineData", In(&INLINE_DATA)),
        ("fileData", File(&FILE_DATA)),
        ("mediaResolution", In(&MEDIA_RESOLUTION)),
        ("videoMetadata", In(&VIDEO_METADATA)),
        ("audioMetadata", In(&AUDIO_METADATA)),
        ("documentMetadata", In(&DOCUMENT_METADATA)),
        ("spreadsheetMetadata", In(&SPREADSHEET_METADATA)),
    ],
);
static INLINE_DATA: Place = alike!(&["data", "displayName", "mimeType"], &[]);
static FILE_DATA: Place = alike!(&["displayName", "mimeType"], &[("fileUri", Address)]);
static EXECUTABLE_CODE: Place = alike!(&["code", "id", "language"], &[]);
static CODE_EXECUTION_RESULT: Place = alike!(&["id", "outcome", "output"], &[]);
static TOOL_CALL: Place = alike!(&["id", "toolType"], &[("args", Data)]);
static TOOL_RESPONSE: Place = alike!(&["id", "toolType"], &[("response", Data)]);
static MEDIA_RESOLUTION: Place = alike!(&["level", "numTokens"], &[]);
static VIDEO_METADATA: Place = alike!(&["contentLayers", "endOffset", "fps", "startOffset"], &[]);
static AUDIO_METADATA: Place = alike!(&["endOffset", "startOffset"], &[]);
static DOCUMENT_METADATA: Place = alike!(&["contentLayers", "endPage", "startPage"], &[]);
static SPREADSHEET_METADATA: Place = alike!(&["contentLayers", "sheetIndex", "visibleCells"], &[]);
static SPEECH_METADATA: Place = alike!(&["speaker", "style"], &[]);
static TRANSCRIPTION: Place = alike!(
    &[
        "endOffset",
        "finished",
        "languageCode",
        "speakerLabel",
        "startOffset",
        "text",
    ],
    &[("words", In(&WORD))],
);
static WORD: Place = alike!(&["endOffset", "startOffset", "word"], &[]);

static GENERATION_CONFIG: Place = alike!(
    &[
        "audioTimestamp",
        "candidateCount",
        "enableAffectiveDialog",
        "enableEnhancedCivicAnswers",
        "frequencyPenalty",
        "logprobs",
        "maxOutputTokens",
        "mediaResolution",
        "presencePenalty",
        "responseLogprobs",
        "responseMimeType",
        "responseModalities",
        "seed",
        "stopSequences",
        "temperature",
        "topK",
        "topP",
    ],
    &[
        ("responseSchema", Data),
        ("responseJsonSchema", Data),
        ("responseFormat", In(&RESPONSE_FORMAT)),
        ("thinkingConfig", In(&THINKING_CONFIG)),
        ("speechConfig", In(&SPEECH_CONFIG)),
        ("imageConfig", In(&IMAGE_CONFIG)),
        ("translationConfig", In(&TRANSLATION_CONFIG)),
        ("audioTranscriptionConfig", In(&TRANSCRIPTION_CONFIG)),
        ("routingConfig", In(&ROUTING_CONFIG)),
        ("modelConfig", Choice(&MODEL_CONFIG)),
    ],
);

static ROUTING_CONFIG: Place = alike!(
    &[],
    &[("autoMode", Choice(&AUTO_MODE)), ("manualMode", In(&NAMED_MODEL))],
);
static AUTO_MODE: Place = alike!(&["modelRoutingPreference"], &[]);
static NAMED_MODEL: Place = alike!(&[], &[("modelName", Model)]);
static MODEL_CONFIG: Place = alike!(&["featureSelectionPreference"], &[("modelName", Model)]);

static RESPONSE_FORMAT: Place = alike!(
    &[],
    &[
        ("text", In(&TEXT_FORMAT)),
        ("audio", In(&AUDIO_FORMAT)),
        ("image", In(&IMAGE_FORMAT)),
        ("video", In(&VIDEO_FORMAT)),
    ],
);
static TEXT_FORMAT: Place = alike!(&["mimeType"], &[("schema", Data)]);
static AUDIO_FORMAT: Place = alike!(&["bitRate", "delivery", "mimeType", "sampleRate"], &[]);
static IMAGE_FORMAT: Place = alike!(&["aspectRatio", "delivery", "imageSize", "mimeType"], &[]);
static VIDEO_FORMAT: Place = alike!(
    &["aspectRatio", "delivery", "duration", "resolution"],
    &[("gcsUri", Asks(FileSources, &NOTHING))],
);

static THINKING_CONFIG: Place = alike!(&["includeThoughts", "thinkingBudget", "thinkingLevel"], &[]);
static IMAGE_CONFIG: Place = alike!(
    &["aspectRatio", "imageSize", "personGeneration", "prominentPeople"],
    &[("imageOutputOptions", In(&IMAGE_OUTPUT))],
);
static IMAGE_OUTPUT: Place = alike!(&["compressionQuality", "mimeType"], &[]);
static TRANSLATION_CONFIG: Place = alike!(&["echoTargetLanguage", "targetLanguageCode"], &[]);
static TRANSCRIPTION_CONFIG: Place = alike!(
    &[
        "adaptationPhrases",
        "customVocabulary",
        "diarization",
        "languageCodes",
        "mode",
        "sourceText",
        "wordTimestamp",
    ],
    &[("languageAuto", In(&NOTHING)), ("languageHints", In(&LANGUAGE_HINTS))],
);
static LANGUAGE_HINTS: Place = alike!(&["languageCodes"], &[]);
static SPEECH_CONFIG: Place = alike!(
    &["languageCode"],
    &[("voiceConfig", In(&VOICE)), ("multiSpeakerVoiceConfig", In(&SPEAKERS))],
);
static SPEAKERS: Place = alike!(&[], &[("speakerVoiceConfigs", In(&SPEAKER))]);
static SPEAKER: Place = alike!(&["speaker"], &[("voiceConfig", In(&VOICE))]);
static VOICE: Place = alike!(
    &["voice"],
    &[
        ("prebuiltVoiceConfig", In(&PREBUILT_VOICE)),
        ("replicatedVoiceConfig", In(&REPLICATED_VOICE)),
    ],
);
static PREBUILT_VOICE: Place = alike!(&["voiceName"], &[]);
static REPLICATED_VOICE: Place = alike!(
    &["consentAudio", "mimeType", "voiceSampleAudio"],
    &[("voiceConsentSignature", In(&VOICE_CONSENT))],
);
static VOICE_CONSENT: Place = alike!(&["signature"], &[]);

static TOOL_CONFIG: Place = alike!(
    &["includeServerSideToolInvocations"],
    &[
        ("functionCallingConfig", In(&CALLING_CONFIG)),
        ("retrievalConfig", In(&RETRIEVAL_CONFIG)),
    ],
);
static CALLING_CONFIG: Place = alike!(&["allowedFunctionNames", "mode", "streamFunctionCallArguments"], &[]);
static RETRIEVAL_CONFIG: Place = alike!(&["languageCode"], &[("latLng", In(&LAT_LNG))]);
static LAT_LNG: Place = alike!(&["latitude", "longitude"], &[]);

static TOOL: Place = Place::GoogleTool(fields!(
    &[],
    &[
        ("functionDeclarations", In(&DECLARATION)),
        ("computerUse", In(&COMPUTER_USE)),
        ("googleSearch", Asks(WebSearch, &GOOGLE_SEARCH)),
        ("googleSearchRetrieval", Asks(WebSearch, &SEARCH_RETRIEVAL)),
        ("enterpriseWebSearch", Asks(WebSearch, &ENTERPRISE_SEARCH)),
        ("urlContext", Asks(WebFetch, &NOTHING)),
        ("codeExecution", Asks(CodeExecution, &NOTHING)),
        ("googleMaps", Asks(GoogleMaps, &MAPS)),
        ("retrieval", Asks(Retrieval, &RETRIEVAL)),
        ("fileSearch", Asks(Retrieval, &FILE_SEARCH)),
        ("mcpServers", Asks(McpServers, &MCP_SERVER)),
        ("parallelAiSearch", Asks(UnknownTools, &OTHER_SEARCH)),
        ("exaAiSearch", Asks(UnknownTools, &OTHER_SEARCH)),
    ],
));

static DECLARATION: Place = alike!(
    &["behavior", "description", "name"],
    &[
        ("parameters", Data),
        ("parametersJsonSchema", Data),
        ("response", Data),
        ("responseJsonSchema", Data),
    ],
);
static COMPUTER_USE: Place = alike!(
    &[
        "disabledSafetyPolicies",
        "enablePromptInjectionDetection",
        "environment",
        "excludedPredefinedFunctions",
    ],
    &[],
);
static GOOGLE_SEARCH: Place = alike!(
    &["blockingConfidence", "excludeDomains"],
    &[("searchTypes", In(&SEARCH_TYPES)), ("timeRangeFilter", In(&TIME_RANGE))],
);
static SEARCH_TYPES: Place = alike!(&[], &[("webSearch", In(&NOTHING)), ("imageSearch", In(&NOTHING))]);
static TIME_RANGE: Place = alike!(&["endTime", "startTime"], &[]);
static SEARCH_RETRIEVAL: Place = alike!(&[], &[("dynamicRetrievalConfig", In(&DYNAMIC_RETRIEVAL))]);
static DYNAMIC_RETRIEVAL: Place = alike!(&["dynamicThreshold", "mode"], &[]);
static ENTERPRISE_SEARCH: Place = alike!(&["blockingConfidence", "excludeDomains"], &[]);
static MAPS: Place = alike!(
    &["enableWidget"],
    &[("authConfig", In(&AUTH)), ("groundingTypes", In(&GROUNDING_TYPES))],
);
static GROUNDING_TYPES: Place = alike!(&[], &[("places", In(&NOTHING)), ("routing", In(&NOTHING))]);
static OTHER_SEARCH: Place = alike!(
    &["apiKey", "enableDataRetention", "enableZeroDataRetention"],
    &[("customConfigs", In(&FREE))],
);
static MCP_SERVER: Place = alike!(&["name"], &[("streamableHttpTransport", In(&MCP_TRANSPORT))]);
static MCP_TRANSPORT: Place = alike!(
    &["sseReadTimeout", "terminateOnClose", "timeout", "url"],
    &[("headers", In(&LABELS))],
);

/// What data stores are searched; which of them the identity may read, IAM says.
static RETRIEVAL: Place = alike!(
    &["disableAttribution"],
    &[
        ("externalApi", In(&EXTERNAL_API)),
        ("vertexAiSearch", In(&VERTEX_AI_SEARCH)),
        ("vertexRagStore", In(&VERTEX_RAG_STORE)),
    ],
);
static FILE_SEARCH: Place = alike!(&["fileSearchStoreNames", "metadataFilter", "topK"], &[]);
static EXTERNAL_API: Place = alike!(
    &["apiSpec", "endpoint"],
    &[
        ("apiAuth", In(&API_AUTH)),
        ("authConfig", In(&AUTH)),
        ("elasticSearchParams", In(&ELASTIC_SEARCH)),
        ("simpleSearchParams", In(&NOTHING)),
    ],
);
static API_AUTH: Place = alike!(&[], &[("apiKeyConfig", In(&API_KEY))]);
static ELASTIC_SEARCH: Place = alike!(&["index", "numHits", "searchTemplate"], &[]);
/// How the provider proves to another service who it is.
static AUTH: Place = alike!(
    &["apiKey", "authType"],
    &[
        ("apiKeyConfig", In(&API_KEY)),
        ("googleServiceAccountConfig", In(&ACCOUNT)),
        ("httpBasicAuthConfig", In(&BASIC_AUTH)),
        ("oauthConfig", In(&ACCOUNT)),
        ("oidcConfig", In(&ACCOUNT)),
    ],
);
static API_KEY: Place = alike!(
    &["apiKeyString", "httpElementLocation", "name"],
    &[("apiKeySecret", Resource), ("apiKeySecretVersion", Resource)],
);
static BASIC_AUTH: Place = alike!(&[], &[("credentialSecret", Resource)]);
static ACCOUNT: Place = alike!(&["accessToken", "idToken", "serviceAccount"], &[]);
static VERTEX_AI_SEARCH: Place = alike!(
    &["datastore", "engine", "filter", "maxResults"],
    &[("dataStoreSpecs", In(&DATA_STORE))],
);
static DATA_STORE: Place = alike!(&["dataStore", "filter"], &[]);
static VERTEX_RAG_STORE: Place = alike!(
    &[
        "ragCorpora",
        "similarityTopK",
        "storeContext",
        "vectorDistanceThreshold",
    ],
    &[
        ("ragResources", In(&RAG_RESOURCE)),
        ("ragRetrievalConfig", In(&RAG_CONFIG)),
    ],
);
static RAG_RESOURCE: Place = alike!(&["ragCorpus", "ragFileIds"], &[]);
static RAG_CONFIG: Place = alike!(
    &["topK"],
    &[
        ("filter", In(&RAG_FILTER)),
        ("hybridSearch", In(&HYBRID_SEARCH)),
        ("ranking", In(&RANKING)),
    ],
);
static RAG_FILTER: Place = alike!(
    &["metadataFilter", "vectorDistanceThreshold", "vectorSimilarityThreshold"],
    &[],
);
static HYBRID_SEARCH: Place = alike!(&["alpha"], &[]);
static RANKING: Place = alike!(
    &[],
    &[("llmRanker", In(&NAMED_MODEL)), ("rankService", In(&NAMED_MODEL))],
);
