/**
 * A gateway's skill adds its `import './NAME.js';` here.
 */
